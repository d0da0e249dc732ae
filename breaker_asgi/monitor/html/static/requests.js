// Requests that change breakers: each has a time limit, and what becomes of it is told apart.

const limit = 10_000; // milliseconds
export const patience = limit / 1000;

// A request that did not do what it should. `kind` is refused, unknown (it may have been done) or unreached.
export class Failed extends Error {
  constructor(kind, ...parts) {
    super(parts.map((each) => each.textContent ?? each).join(""));
    Object.assign(this, { kind, parts });
  }
}

export async function post(url, body) {
  const signal = AbortSignal.timeout(limit);
  try {
    const response = await fetch(url, { method: "POST", body, signal, headers: { accept: "application/json" } });
    const answer = await response.json().catch((error) => (signal.aborted ? Promise.reject(error) : {}));
    if (response.ok) return answer;
    throw refused(response, answer);
  } catch (error) {
    if (error instanceof Failed) throw error;
    if (signal.aborted) {
      throw new Failed("unknown", `No answer within ${patience} s. It may have happened all the same: look before you try again.`);
    }
    throw new Failed("unreached", "The server can't be reached. Nothing is known to have changed.");
  }
}

function refused({ status, statusText }, { title, detail }) {
  const words = `${status} ${title ?? (statusText || "It failed")}${detail ? `: ${detail}` : ""}`;
  if (status < 500) return Object.assign(new Failed("refused", `Refused, nothing was changed. ${words}`), { status });
  return new Failed("unknown", `The server failed. It may have happened all the same: look. ${words}`);
}
