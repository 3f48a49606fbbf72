// Keys and values: the namespaces, the keys of one, and an entry with all that is known of it.

import { ask, rows } from "./api.js";
import { ago, button, copying, count, el, failure, fill, moment, named, size, span, state } from "./dom.js";
import { pretty } from "./json.js";
import { List, search } from "./list.js";
import { Live } from "./live.js";
import { tree } from "./value.js";

const PAGE = 200;

export class Keys {
  constructor(session) {
    this.session = session;
    this.namespace = null;
    this.key = null;
    this.namespaces = this.makeNamespaces();
    this.entries = this.makeEntries();
    this.namespaceSearch = search("Namespaces by prefix", () => this.namespaces.reload());
    this.search = search("Keys by prefix", () => this.entries.reload());
    this.total = el("span", { class: "faint" });
    this.detail = el("section", { class: "detail", tabindex: "-1", "aria-label": "Entry" });
    this.live = new Live(() => this.refresh(), (how) => session.told(how));
    this.element = el(
      "div",
      { class: "view three" },
      el("section", { class: "pane" }, el("header", {}, this.namespaceSearch), this.namespaces.element),
      el("section", { class: "pane" }, this.entriesHeader(), this.entries.element),
      this.detail,
    );
    setInterval(() => this.tick(), 1000);
  }

  entriesHeader() {
    const back = button("‹", () => this.go(null, null), { class: "back", "aria-label": "Back to the namespaces" });
    this.title = el("span", { class: "title" });
    return el("header", {}, el("div", { class: "headline" }, back, this.title, this.total), this.search);
  }

  makeNamespaces() {
    return new List({
      label: "Namespaces",
      id: (row) => row.namespace,
      load: async (cursor, signal) => {
        const query = { prefix: this.namespaceSearch.value, limit: PAGE, cursor };
        const page = await ask("/api/inspect/namespaces", { query, signal });
        return { rows: rows(page.namespaces), next: page.nextCursor };
      },
      row: (row) => [named(row.namespace, { class: "grow" }), el("span", { class: "faint" }, row.entries.toLocaleString("en"))],
      open: (row) => this.go(row.namespace, null),
      enter: () => this.entries.element.focus(),
      empty: () => (this.namespaceSearch.value === "" ? "The store is empty." : "No namespace begins so."),
    });
  }

  makeEntries() {
    return new List({
      label: "Keys",
      id: (row) => row.key,
      load: async (cursor, signal) => {
        const query = { namespace: this.namespace, prefix: this.search.value, limit: PAGE, cursor };
        const page = await ask("/api/inspect/entries", { query, signal });
        if (page.total !== null) fill(this.total, count(page.total, "key"));
        return { rows: rows(page.entries), next: page.nextCursor };
      },
      row: (row) => [
        el("div", { class: "line" }, named(row.key, { class: "key grow" }), badge(row.valueType)),
        el("div", { class: "line faint" }, el("span", { class: "grow preview" }, row.preview || size(row.sizeBytes)), this.small(row)),
      ],
      open: (row) => this.go(this.namespace, row.key),
      enter: () => this.detail.focus(),
      empty: () => (this.search.value === "" ? "This namespace holds nothing any more." : "No key begins so."),
    });
  }

  small(row) {
    return el("span", {}, row.expiresAt === null ? ago(row.updatedAt, this.session.now()) : "expires");
  }

  go(namespace, key) {
    this.session.go("keys", namespace, key);
  }

  /** Shows a namespace and a key of it; null = none. */
  show([namespace = null, key = null]) {
    this.element.dataset.depth = namespace === null ? 0 : key === null ? 1 : 2;
    if (!this.isLoaded) {
      this.isLoaded = true;
      this.namespaces.reload();
    }
    if (namespace !== this.namespace) this.showNamespace(namespace);
    this.key = key;
    this.entries.selected = key;
    this.entries.mark();
    this.showEntry();
  }

  showNamespace(namespace) {
    this.namespace = namespace;
    this.namespaces.selected = namespace;
    this.namespaces.mark();
    this.search.value = "";
    fill(this.title, namespace === null ? "" : named(namespace));
    fill(this.total);
    this.search.disabled = namespace === null;
    if (namespace === null) fill(this.entries.element, state("Choose a namespace."));
    else this.entries.reload();
    this.follow(true);
  }

  follow(isShown) {
    this.live.follow(isShown ? this.namespace : null);
  }

  refresh({ keep = true } = {}) {
    this.namespaces.reload({ keep });
    if (this.namespace !== null) this.entries.reload({ keep });
    if (this.key !== null) this.showEntry({ keep });
    this.session.refresh();
  }

  async showEntry({ keep = false } = {}) {
    const { namespace, key } = this;
    this.shown = keep ? this.shown : null;
    if (key === null) return fill(this.detail, namespace === null ? null : state("Choose a key."));
    if (!keep) fill(this.detail, state("Loading…"));
    const isStill = () => namespace === this.namespace && key === this.key;
    try {
      const entry = await ask("/api/inspect/entry", { query: { namespace, key } });
      if (isStill() && this.shown?.revision !== entry.revision) this.showFound(entry);
    } catch (error) {
      if (!isStill()) return;
      this.shown = null;
      const isGone = error.status === 404;
      const gone = el("div", { class: "state" }, el("p", {}, "This key is gone: it was deleted, or its time was over."));
      fill(this.detail, this.back(), isGone ? gone : failure(error, () => this.showEntry()));
    }
  }

  back() {
    return button("‹ Keys", () => this.go(this.namespace, null), { class: "back" });
  }

  showFound(entry) {
    this.shown = entry;
    const text = () => (typeof entry.value === "string" && entry.valueType === "string" ? entry.value : pretty(entry.value));
    this.ttl = el("dd");
    const facts = el(
      "dl",
      { class: "facts" },
      fact("Revision", String(entry.revision)),
      fact("Size", size(entry.sizeBytes)),
      fact("Created", moment(entry.createdAt)),
      fact("Updated", moment(entry.updatedAt)),
      el("div", {}, el("dt", {}, "Expires"), this.ttl),
    );
    const copies = el("div", { class: "actions" }, copying("Copy value", text), copying("Copy key", () => entry.key));
    const note = entry.exact
      ? null
      : el("p", { class: "note" }, "This value holds what JSON cannot, or is long: it is shown as far as it can be read.");
    const head = el("header", {}, this.back(), el("h2", {}, named(entry.key)), badge(entry.valueType));
    fill(this.detail, head, facts, copies, note, tree(entry.value, entry.exact));
    this.tick();
  }

  /** The time that is left, second by second. */
  tick() {
    if (!this.shown || !this.ttl) return;
    const { expiresAt } = this.shown;
    if (expiresAt === null) return fill(this.ttl, "never");
    const left = expiresAt - this.session.now();
    fill(this.ttl, left > 0 ? `in ${span(left)}` : "now");
    this.ttl.title = moment(expiresAt);
    if (left <= 0) this.refresh();
  }
}

function fact(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

export function badge(type) {
  return el("span", { class: `badge ${type}` }, type);
}
