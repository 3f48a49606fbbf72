// The SDK of pages: `swarmSdk.kv`, the keys of the page that it is in.
//
// It stands first in the page and takes its proof along; the proof tells this page's script from another's. There is no
// argument for a namespace: the service takes the page's own, whatever the address says.
(() => {
  'use strict';

  const script = document.currentScript;
  const { page, proof } = script.dataset;
  const send = window.fetch.bind(window);
  script.remove();

  const request = async (method, path, { body, headers = {}, signal } = {}) => {
    const own = { 'X-Swarm-Page': page, ...(proof && { 'X-Swarm-Proof': proof }), ...headers };
    if (body !== undefined) own['Content-Type'] = 'application/json';
    const options = { method, headers: own, body: JSON.stringify(body), cache: 'no-store', signal };
    return send(`/@swarm/api/kv${path}`, options);
  };

  const failure = async (response) => {
    const answer = await response.json().catch(() => null);
    const error = new Error(answer?.detail ?? `the service answers ${response.status}`);
    return Object.assign(error, { name: 'SwarmError', status: response.status, response: answer });
  };

  const ask = async (...call) => {
    const response = await request(...call);
    if (!response.ok) throw await failure(response);
    return response.status === 204 ? undefined : response.json();
  };

  // The segment before the key says that a namespace is named, so that a key may be `_`.
  const path = (key) => {
    if (typeof key !== 'string') throw new TypeError('a key is a string');
    return `/_/page/${encodeURIComponent(key)}`;
  };

  const conditions = (revision) => {
    if (revision === undefined) return {};
    return revision === 0 ? { 'If-None-Match': '*' } : { 'If-Match': `"${revision}"` };
  };

  // The blocks of an event stream, each with its fields by name.
  const blocks = async function* (response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (text + value).split('\n\n');
      text = parts.pop();
      for (const part of parts) yield Object.fromEntries(part.split('\n').map((line) => line.split(/: ?(.*)/, 2)));
    }
  };

  const FIRST_PAUSE_MS = 250;
  const LONGEST_PAUSE_MS = 10_000;

  // Tells `callback` of changes until `signal` ends it, over as many connections as that takes.
  const follow = async (prefix, callback, signal) => {
    const tell = (event) => {
      try {
        if (!signal.aborted) callback(event);
      } catch (error) {
        reportError(error);
      }
    };
    let last;
    let pause = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      try {
        const query = new URLSearchParams({ watch: true, prefix });
        const response = await request('GET', `?${query}`, { headers: last ? { 'Last-Event-ID': last } : {}, signal });
        if (!response.ok) {
          const error = await failure(response);
          // What is refused for good stays refused.
          if (response.status < 500 && ![408, 429].includes(response.status)) return tell({ type: 'error', error });
          throw error;
        }
        if (last === undefined) tell({ type: 'reset' });
        for await (const { event, id, data } of blocks(response)) {
          last = id ?? last;
          pause = FIRST_PAUSE_MS;
          if (event === 'set') tell({ type: 'set', entry: JSON.parse(data) });
          else if (event !== undefined) tell({ ...JSON.parse(data), type: event });
        }
      } catch {
        // The connection is gone, or the server does not answer: try again.
      }
      await new Promise((resume) => setTimeout(resume, pause * (0.5 + Math.random() / 2)));
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
  };

  const kv = {
    // The entry, or null when it is missing or expired.
    async get(key) {
      try {
        return await ask('GET', path(key));
      } catch (error) {
        if (error.response?.code === 'not_found') return null;
        throw error;
      }
    },

    // Writes a value; with ifRevision only over that revision, 0 = only if there is none. Returns the entry.
    async set(key, value, { valueType, expiresInSec, ifRevision } = {}) {
      return ask('PUT', path(key), { body: { value, valueType, expiresInSec }, headers: conditions(ifRevision) });
    },

    // Removes a key that is there.
    async del(key) {
      await ask('DELETE', path(key));
    },

    // Adds to an integer, which begins at 0, and returns the entry.
    async incr(key, by = 1) {
      return ask('POST', `${path(key)}/incr`, { body: { by } });
    },

    // A page of entries by prefix: { entries, total, nextCursor }.
    async list({ prefix, limit, cursor } = {}) {
      const given = Object.entries({ prefix, limit, cursor }).filter(([, value]) => value != null);
      const query = new URLSearchParams(given);
      return ask('GET', query.size ? `?${query}` : '');
    },

    // Calls back with { type: 'set', entry }, { type: 'delete', key, revision } and { type: 'reset' }: read everything again,
    // which also comes first. { type: 'error', error } is the last one. Returns what ends it.
    watch(prefix, callback) {
      if (typeof prefix !== 'string' || typeof callback !== 'function') {
        throw new TypeError('watch takes a prefix, which may be empty, and a callback');
      }
      const ending = new AbortController();
      follow(prefix, callback, ending.signal);
      return () => ending.abort();
    },
  };

  Object.defineProperty(window, 'swarmSdk', { value: Object.freeze({ kv: Object.freeze(kv) }), enumerable: true });
})();
