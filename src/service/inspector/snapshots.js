// Snapshots: which there are, what lies between two of them or between one and now, and the way back.
//
// Values are read when somebody opens a change. Going back is done only after a person saw what it would change.

import { ask, rows } from "./api.js";
import { ago, button, confirmed, count, el, failure, fill, moment, named, size, state } from "./dom.js";
import { ABSENT, difference } from "./difference.js";
import { List } from "./list.js";

const PAGE = 100;

/** Changes that the question before a restore shows by name. */
const ASKED = 12;

const SIGNS = { added: "+", removed: "−", changed: "~" };

export class Snapshots {
  constructor(session) {
    this.session = session;
    this.id = null;
    this.all = [];
    this.list = new List({
      label: "Snapshots",
      id: (row) => row.id,
      load: async (cursor, signal) => {
        const page = await ask("/api/snapshots", { signal });
        this.all = rows(page.snapshots).reverse();
        this.offerBases();
        return { rows: [...this.all], next: null };
      },
      row: (row) => [
        el("div", { class: "line" }, el("span", { class: "key grow" }, `Snapshot ${row.id}`), el("span", { class: "faint" }, ago(row.takenAt, session.now()))),
        el("div", { class: "line faint" }, el("span", { class: "grow" }, `${count(row.entries, "key")} · ${size(row.sizeBytes)}`), moment(row.takenAt)),
      ],
      open: (row) => session.go("snapshots", row.id),
      enter: () => this.detail.focus(),
      empty: () => "No snapshot was taken yet.",
    });
    const take = button("Take snapshot", () => this.take(), { class: "primary" });
    const header = el("header", { class: "headline" }, el("span", { class: "title grow" }, "Snapshots"), !session.readOnly && take);
    this.base = el("select", { "aria-label": "Compare with", onchange: () => this.compare() });
    this.detail = el("section", { class: "detail", tabindex: "-1", "aria-label": "Difference" });
    this.element = el("div", { class: "view two" }, el("section", { class: "pane" }, header, this.list.element), this.detail);
  }

  show([id = null]) {
    this.element.dataset.depth = id === null ? 0 : 1;
    const isNew = this.id !== id;
    this.id = id;
    this.list.selected = id === null ? null : Number(id);
    if (!this.isLoaded) {
      this.isLoaded = true;
      this.list.reload().then(() => this.showDetail());
    } else if (isNew) this.showDetail();
    this.list.mark();
  }

  follow() {}

  refresh({ keep = true } = {}) {
    this.list.reload({ keep });
    if (!keep && this.id !== null) this.compare();
  }

  async take() {
    try {
      const made = await ask("/api/snapshots", { method: "POST" });
      await this.list.reload({ keep: true });
      this.session.go("snapshots", made.id);
    } catch (error) {
      this.session.complain(error);
    }
  }

  offerBases() {
    const chosen = this.base.value;
    const options = this.all.filter((row) => String(row.id) !== this.id);
    fill(this.base, el("option", { value: "now" }, "now"), options.map((row) => {
      return el("option", { value: String(row.id) }, `snapshot ${row.id}, ${moment(row.takenAt)}`);
    }));
    if (options.some((row) => String(row.id) === chosen)) this.base.value = chosen;
  }

  showDetail() {
    if (this.id === null) return fill(this.detail, state("Choose a snapshot to see what happened since."));
    this.offerBases();
    const restore = button("Restore…", () => this.restore(), { class: "danger" });
    const back = button("‹ Snapshots", () => this.session.go("snapshots"), { class: "back" });
    const head = el("header", {}, back, el("h2", { class: "grow" }, `Snapshot ${this.id}`), !this.session.readOnly && restore);
    this.changes = el("div", { class: "changes" });
    const compared = el("p", { class: "compared" }, "From this snapshot to ", this.base);
    fill(this.detail, head, compared, this.changes);
    this.compare();
  }

  /** What leads from the snapshot to what it is compared with. */
  compare() {
    const [id, other] = [this.id, this.base.value];
    const changes = new Changes(id, other);
    this.comparing = changes;
    fill(this.changes, changes.element);
    changes.load();
  }

  async restore() {
    const { id } = this;
    try {
      const query = { base: "now", limit: ASKED };
      const would = await ask(`/api/snapshots/${id}/diff`, { query });
      const title = `Go back to snapshot ${id}?`;
      if (!(await confirmed(title, consequence(would), "Restore"))) return;
      await ask(`/api/snapshots/${id}/restore`, { method: "POST" });
      this.session.tell(`The store is what snapshot ${id} holds.`);
      this.session.refresh();
      this.compare();
    } catch (error) {
      this.session.complain(error);
    }
  }
}

const WOULD = { added: "comes back", removed: "is removed", changed: "gets its former value" };

/** What a restore would do, in words. */
function consequence(would) {
  if (would.total + would.hidden === 0) return el("p", {}, "Nothing would change: the store holds just this.");
  const shown = rows(would.changes).map(({ change, namespace, key }) => {
    const sign = el("span", { class: "sign" }, SIGNS[change]);
    return el("li", { class: change }, sign, named(namespace), " ", named(key, { class: "key" }), el("span", { class: "faint" }, ` ${WOULD[change]}`));
  });
  const rest = would.total - shown.length;
  return el(
    "div",
    {},
    el("p", {}, `${count(would.total, "key")} would change. What was written since is lost unless another snapshot holds it.`),
    el("ul", { class: "plain" }, shown),
    rest > 0 && el("p", { class: "faint" }, `… and ${rest.toLocaleString("en")} more`),
    would.hidden > 0 && el("p", { class: "note" }, `${count(would.hidden, "record")} that integrations keep, such as LangGraph's threads, would change too.`),
  );
}

/** The changes from a snapshot to another one or to now, page after page. */
class Changes {
  constructor(from, to) {
    Object.assign(this, { from, to, next: null, shown: 0 });
    this.head = el("p", { class: "faint" }, "Comparing…");
    this.rows = el("div");
    this.more = button("Show more", () => this.load(), { class: "link", hidden: true });
    this.element = el("div", {}, this.head, this.rows, this.more);
  }

  async load() {
    try {
      const isNow = this.to === "now";
      // The state of now is only ever a base, so that what it is told from it is turned around.
      const [later, base] = isNow ? [this.from, "now"] : [this.to, this.from];
      const page = await ask(`/api/snapshots/${later}/diff`, { query: { base, limit: PAGE, cursor: this.next } });
      const turned = isNow ? { added: "removed", removed: "added", changed: "changed" } : null;
      for (const row of rows(page.changes)) this.rows.append(this.change({ ...row, change: turned?.[row.change] ?? row.change }));
      this.shown += page.changes.length;
      this.next = page.nextCursor;
      const hidden = page.hidden > 0 ? ` ${count(page.hidden, "record")} of integrations differ too.` : "";
      fill(this.head, page.total === 0 ? `No key differs.${hidden}` : `${count(page.total, "key")} differ.${hidden}`);
      this.more.hidden = this.next === null;
    } catch (error) {
      fill(this.head, failure(error, () => this.load()));
    }
  }

  change({ change, namespace, key }) {
    const sign = el("span", { class: "sign" }, SIGNS[change]);
    const summary = el("summary", {}, sign, named(namespace, { class: "faint" }), named(key, { class: "key grow" }), el("span", { class: "faint" }, change));
    const details = el("details", { class: `change ${change}` }, summary);
    details.addEventListener("toggle", async () => {
      if (!details.open || details.childElementCount > 1) return;
      const place = el("div", { class: "values" }, el("p", { class: "faint" }, "Loading…"));
      details.append(place);
      try {
        const [before, after] = await Promise.all([this.value(this.from, namespace, key), this.value(this.to, namespace, key)]);
        fill(place, compared(before, after));
      } catch (error) {
        fill(place, failure(error));
      }
    });
    return details;
  }

  async value(snapshot, namespace, key) {
    try {
      return await ask("/api/inspect/entry", { query: { namespace, key, snapshot: snapshot === "now" ? null : snapshot } });
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }
}

function compared(before, after) {
  const isExact = (before?.exact ?? true) && (after?.exact ?? true);
  const value = (entry) => (entry === null ? ABSENT : entry.value);
  if (before === null && after === null) return state("It is in neither of them any more.");
  return difference(value(before), value(after), { isExact });
}
