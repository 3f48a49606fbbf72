// A list that reads page after page: one row is selected, arrows move the selection, and Enter goes on to what it opened.
//
// What is loaded for a question that was replaced meanwhile is dropped. A list shows that it loads, that it is empty, or why it
// failed.

import { el, failure, fill, state } from "./dom.js";

/** How long the selection must rest before what it opens is loaded, in milliseconds. */
const REST = 90;

/** Rows that are read again where they stand; a longer list stands still until somebody asks for it anew. */
const KEPT = 1000;

/** Rows that were made, so that each has an id. */
let made = 0;

export class List {
  /**
   * `load(cursor, signal)` answers `{rows, next}`, `row(item)` the children of a row, `id(item)` what tells it from others;
   * `open(item)` shows it, and `enter()` moves on to it.
   */
  constructor({ label, load, row, id, open, enter, empty }) {
    Object.assign(this, { load, row, id, open, enter, empty });
    this.items = [];
    this.selected = null;
    this.next = null;
    this.element = el("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": label });
    this.element.addEventListener("keydown", (event) => this.pressed(event));
    this.end = el("div", { class: "end" });
    this.observer = new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && this.more(), {
      root: this.element,
      rootMargin: "600px",
    });
    this.observer.observe(this.end);
  }

  /** Reads the first page anew. What is shown stays until it is there, unless the question is another one. */
  async reload({ keep = false } = {}) {
    if (keep && this.items.length > KEPT) return;
    this.stopLoading();
    if (!keep) {
      this.items = [];
      this.element.scrollTop = 0;
      fill(this.element, state("Loading…"));
    }
    const wanted = keep ? Math.max(this.items.length, 1) : 1;
    await this.read(async (signal) => {
      let page = await this.load(null, signal);
      const items = page.rows;
      while (page.next !== null && items.length < wanted) {
        page = await this.load(page.next, signal);
        items.push(...page.rows);
      }
      const before = new Map(this.items.map((item) => [this.id(item), JSON.stringify(item)]));
      this.items = items;
      this.next = page.next;
      fill(this.element, items.length === 0 ? state(this.empty()) : items.map((item) => this.made(item)), this.end);
      if (keep) this.flash(before);
      this.mark();
    });
  }

  async more() {
    if (this.next === null || this.loading) return;
    await this.read(async (signal) => {
      const page = await this.load(this.next, signal);
      this.items.push(...page.rows);
      this.next = page.next;
      this.end.before(...page.rows.map((item) => this.made(item)));
      this.mark();
      // The end may still be in sight, of which an observer tells only once.
      this.observer.unobserve(this.end);
      this.observer.observe(this.end);
    });
  }

  async read(work) {
    const loading = new AbortController();
    this.loading = loading;
    try {
      await work(loading.signal);
    } catch (error) {
      if (this.loading === loading) {
        this.next = null;
        fill(this.element, failure(error, () => this.reload()));
        if (error.status === 401) document.dispatchEvent(new CustomEvent("signedout"));
      }
    } finally {
      if (this.loading === loading) this.loading = null;
    }
  }

  stopLoading() {
    this.loading?.abort();
    this.loading = null;
    this.next = null;
  }

  made(item) {
    const row = el("div", { class: "row", role: "option", onclick: () => this.select(item) }, this.row(item));
    row.item = item;
    row.id = `row-${(made += 1)}`;
    return row;
  }

  rowElements() {
    return [...this.element.querySelectorAll(":scope > .row")];
  }

  /** Selects an item, and opens it. */
  select(item) {
    clearTimeout(this.resting);
    this.selected = this.id(item);
    this.mark();
    this.open(item);
  }

  mark() {
    for (const row of this.rowElements()) {
      const isSelected = this.id(row.item) === this.selected;
      row.setAttribute("aria-selected", String(isSelected));
      if (isSelected) this.element.setAttribute("aria-activedescendant", row.id);
    }
  }

  flash(before) {
    for (const row of this.rowElements()) {
      if (before.get(this.id(row.item)) !== JSON.stringify(row.item)) row.classList.add("fresh");
    }
  }

  pressed(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter") this.enter?.();
    else if (event.key in steps) this.move(steps[event.key]);
    else return;
    event.preventDefault();
  }

  move(step) {
    const elements = this.rowElements();
    if (elements.length === 0) return;
    const here = elements.findIndex((row) => this.id(row.item) === this.selected);
    const wanted = here < 0 ? 0 : Math.min(Math.max(here + step, 0), elements.length - 1);
    const row = elements[wanted];
    this.selected = this.id(row.item);
    this.mark();
    row.scrollIntoView({ block: "nearest" });
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.open(row.item), REST);
  }
}

/** A search by the beginning of names; asks a moment after the last key. */
export function search(label, ask) {
  let waiting;
  const now = () => {
    clearTimeout(waiting);
    ask(input.value);
  };
  const input = el("input", {
    type: "search",
    placeholder: label,
    "aria-label": label,
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => {
      clearTimeout(waiting);
      waiting = setTimeout(now, 180);
    },
  });
  return input;
}
