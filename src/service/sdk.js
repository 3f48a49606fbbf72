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

  const request = async (method, path, { body, headers = {} } = {}) => {
    const own = { 'X-Swarm-Page': page, ...(proof && { 'X-Swarm-Proof': proof }), ...headers };
    if (body !== undefined) own['Content-Type'] = 'application/json';
    return send(`/@swarm/api/kv${path}`, { method, headers: own, body: JSON.stringify(body), cache: 'no-store' });
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
  };

  Object.defineProperty(window, 'swarmSdk', { value: Object.freeze({ kv: Object.freeze(kv) }), enumerable: true });
})();
