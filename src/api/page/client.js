// The requests to the service that has sent this page, and the one stream that it sends. Nothing else is asked.

const TOKEN = "muster-token";

/** How long a connection may send nothing before it counts as lost, in milliseconds. The service sends a comment every 15 s. */
const SILENCE = 40_000;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;
/** How many events a stream begins with, and how many are kept. */
export const EVENTS = 500;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The token of this window. Another window or another page of this host cannot read it, and a reload keeps it. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (text) => sessionStorage.setItem(TOKEN, text),
  drop: () => sessionStorage.removeItem(TOKEN),
};

/** Called with the header `Muster-Stale-Since` of each answer, in milliseconds, or null. */
let onStale = () => {};
export const whenStale = (listener) => { onStale = listener; };

function headers(more) {
  const all = new Headers(more);
  const text = token.get();
  if (text) all.set("Authorization", `Bearer ${text}`);
  return all;
}

async function request(path, options = {}) {
  const response = await fetch(`/api/v1/${path}`, { ...options, headers: headers(options.headers), cache: "no-store", credentials: "same-origin" });
  const stale = response.headers.get("Muster-Stale-Since");
  onStale(stale === null ? null : Number(stale) * 1000);
  if (response.ok) return response;
  let message = `the service answered ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch { /* the body is not that of an error of the API */ }
  throw new Refused(response.status, message);
}

export const getJson = async (path) => (await request(path)).json();
export const getText = async (path) => (await request(path)).text();
export const post = async (path) => (await request(path, { method: "POST" })).json();

/** Changes the key of a one-time address for the token of this window. */
export async function exchange(key) {
  const body = JSON.stringify({ key });
  const answer = await request("session", { method: "POST", body, headers: { "Content-Type": "application/json" } });
  token.set((await answer.json()).token);
}

/** Splits the text of a stream into messages. */
class Messages {
  #rest = "";

  take(text) {
    // The last part may be cut in the middle of a message.
    const parts = (this.#rest + text).replace(/\r\n?/g, "\n").split("\n\n");
    this.#rest = parts.pop();
    return parts.map(Messages.#parse).filter((message) => message.data !== undefined);
  }

  static #parse(block) {
    const message = { event: "message", id: undefined, data: undefined };
    for (const line of block.split("\n")) {
      if (line.startsWith(":")) continue;
      const at = line.indexOf(":");
      const name = at < 0 ? line : line.slice(0, at);
      const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
      if (name === "data") message.data = message.data === undefined ? value : `${message.data}\n${value}`;
      else if (name === "event" || name === "id") message[name] = value;
    }
    return message;
  }
}

/**
 * Follows the events and the changes of the cluster, and connects again when it was cut off: after half a second, then after
 * twice the time, up to ten seconds.
 */
export class Stream {
  #last = null;
  #delay = FIRST_DELAY;
  #abort = null;
  #wake = null;
  #stopped = false;
  #paused = false;

  /** `on` has: event(event), gap(why), change(change), open(), closed(error, retryAt). */
  constructor(on) {
    this.on = on;
  }

  async run() {
    while (!this.#stopped) {
      let error = null;
      try {
        await this.#follow();
      } catch (failure) {
        error = failure;
      }
      if (this.#stopped) return;
      if (this.#paused) {
        await new Promise((resolve) => { this.#wake = resolve; });
        continue;
      }
      const delay = this.#delay * (0.8 + Math.random() * 0.4);
      this.on.closed(error, Date.now() + delay);
      if (error instanceof Refused && error.status === 401) return;
      this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, delay);
      });
    }
  }

  /** Connects now instead of later. */
  retry() {
    this.#wake?.();
  }

  /** Closes the connection until `resume` is called. A browser opens only six to one service, for all windows together. */
  pause() {
    this.#paused = true;
    this.#abort?.abort();
  }

  resume() {
    if (!this.#paused) return;
    this.#paused = false;
    this.#wake?.();
  }

  stop() {
    this.#stopped = true;
    this.#abort?.abort();
    this.#wake?.();
  }

  async #follow() {
    this.#abort = new AbortController();
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => this.#abort.abort(new Error("the service is silent")), SILENCE);
    };
    try {
      alive();
      const more = { Accept: "text/event-stream" };
      if (this.#last) more["Last-Event-ID"] = this.#last;
      const path = `events?changes=true&lines=${this.#last ? 0 : EVENTS}`;
      const response = await request(path, { headers: more, signal: this.#abort.signal });
      this.#delay = FIRST_DELAY;
      this.on.open();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const messages = new Messages();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        alive();
        this.#deliver(messages.take(value));
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  #deliver(messages) {
    const events = [];
    for (const { event, id, data } of messages) {
      if (id !== undefined) this.#last = id;
      const value = JSON.parse(data);
      if (event === "event") events.push({ id, ...value });
      else if (event === "gap") events.push({ id: `gap-${crypto.randomUUID?.() ?? Math.random()}`, gap: true, at: Date.now(), text: value.why, subject: {} });
      else if (event === "change") this.on.change(value);
    }
    if (events.length > 0) this.on.events(events);
  }
}
