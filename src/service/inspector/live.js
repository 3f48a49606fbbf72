// Changes as they happen: tells a view when the namespace that it shows was written.
//
// A look at the namespace's revision every two seconds finds the writes of every process on the store, also of those that write
// without this server. Where the server streams its own writes they are told at once. Nobody looks while the page is hidden.

import { ask, rows, segment, send } from "./api.js";

const EVERY = 2000;

/** Names that stand in a path; others are looked at by time alone. */
const ADDRESSABLE = /^(?!\.{1,2}$)[a-zA-Z0-9._:/-]{1,512}$/;

export class Live {
  /** `changed()` is called after a change; `told(text)` says how it goes. */
  constructor(changed, told) {
    Object.assign(this, { changed, told, namespace: null, last: null });
    setInterval(() => this.look(), EVERY);
  }

  /** Follows a namespace; null = none. */
  follow(namespace) {
    this.stream?.abort();
    this.namespace = namespace;
    this.last = null;
    if (namespace === null) return;
    this.look();
    if (!ADDRESSABLE.test(namespace)) return;
    this.stream = new AbortController();
    this.listen(namespace, this.stream.signal);
  }

  async look() {
    const { namespace } = this;
    if (namespace === null || document.hidden || this.isLooking) return;
    this.isLooking = true;
    try {
      const seen = await this.revision(namespace);
      if (namespace !== this.namespace) return;
      const isNews = this.last !== null && seen !== this.last;
      this.last = seen;
      this.told("live");
      if (isNews) this.changed();
    } catch (error) {
      if (error.status === 401) document.dispatchEvent(new CustomEvent("signedout"));
      this.told("offline");
    } finally {
      this.isLooking = false;
    }
  }

  async revision(namespace) {
    const page = await ask("/api/inspect/namespaces", { query: { prefix: namespace, limit: 1 } });
    const [row] = rows(page.namespaces);
    return row?.namespace === namespace ? `${row.revision} ${row.entries}` : "gone";
  }

  /** Reads the stream of changes, where there is one; a look by time goes on beside it. */
  async listen(namespace, signal) {
    try {
      const headers = { Accept: "text/event-stream" };
      const response = await send(`/api/kv/_/${segment(namespace)}`, { query: { watch: "true" }, headers, signal });
      if (!response.ok || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) return;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        // What an event says is read again with everything else, so that any event is a reason to look.
        if (part.value.includes("event:")) this.look();
      }
    } catch {
      // The look by time tells whether the server is still there.
    }
  }
}
