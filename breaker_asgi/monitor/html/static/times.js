// Times of the reader: local, with the zone named in headings; the title has them in UTC.

const locales = [...new Set([navigator.language, "en-GB", "en-US"])];
const part = (locale, options, type, date) =>
  new Intl.DateTimeFormat(locale, options).formatToParts(date).find((each) => each.type === type)?.value;

// Return the short name of the zone, `CET`; a locale may only know it as `GMT+1`.
export function zone(date = new Date()) {
  const names = locales.map((locale) => part(locale, { timeZoneName: "short" }, "timeZoneName", date));
  return names.find((name) => !/[+\d]/.test(name)) ?? names[0];
}

const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const twoDigits = (number) => String(number).padStart(2, "0");

export function clock(text) {
  const date = new Date(text);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
}

export function day(seconds) {
  const date = new Date(seconds * 1000);
  return `${date.getDate()} ${months[date.getMonth()]}`;
}

export const inUtc = (text) => `${new Date(text).toISOString().slice(0, 19).replace("T", " ")} UTC`;

// Name the zone in all headings.
export function nameZones(root = document) {
  for (const place of root.querySelectorAll(".zone")) place.textContent = `, times in ${zone()}`;
}

export function setTime(element, text) {
  if (element.dateTime === text) return;
  element.dateTime = text;
  element.title = text ? inUtc(text) : "";
}
