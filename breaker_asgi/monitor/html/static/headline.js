// The headline: the verdict, the figures over all breakers, and how old they are.

import { byId, parts, say, setData, setIcon, write } from "./dom.js";
import { clock } from "./times.js";
import { alarm, headline, span, total, verdict, worst } from "./words.js";

export class Headline {
  #line = byId("verdict");
  #now = byId("now");
  #places = parts(byId("now"));

  update({ summary, store }) {
    const [icon, words, of] = this.#line.children;
    setData(this.#line, "state", worst(summary));
    setIcon(icon, worst(summary));
    write(words, verdict(summary));
    write(of, total(summary));
    this.#now.hidden = !summary.total;
    say(this.#places, headline(summary));
    setData(this.#now, "rejecting", summary.rejected_per_second ? "yes" : "");
    write(byId("alarm"), alarm(store));
  }

  // The age is always in view; a screen reader hears of it only when the connection is lost.
  age(stream) {
    const age = stream.age();
    setData(byId("link"), "link", stream.live ? "live" : "lost");
    setData(document.body, "stale", stream.live ? "" : "yes");
    write(byId("status"), stream.live ? "live" : "reconnecting…");
    write(byId("age"), stream.live ? `${age.toFixed(1)} s old` : `figures are ${span(age)} old`);
    write(byId("stale"), stream.live ? "" : stale(age));
  }
}

function stale(age) {
  const since = clock(new Date(Date.now() - age * 1000).toISOString());
  return `Figures are ${span(age)} old: the server was last heard at ${since}.`;
}
