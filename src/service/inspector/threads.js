// LangGraph's threads: a timeline of checkpoints, the state at each, and what each one changed.

import { ask, members, rows } from "./api.js";
import { ago, button, count, el, failure, fill, moment, named, size, state } from "./dom.js";
import { ABSENT, difference } from "./difference.js";
import { List, search } from "./list.js";
import { scalar, tree } from "./value.js";

const PAGE = 100;

export class Threads {
  constructor(session) {
    this.session = session;
    this.thread = null;
    this.place = null;
    this.part = "changes";
    this.search = search("Threads by prefix", () => this.threads.reload());
    this.threads = this.makeThreads();
    this.checkpoints = this.makeCheckpoints();
    this.title = el("span", { class: "title grow" });
    const back = button("‹", () => session.go("threads"), { class: "back", "aria-label": "Back to the threads" });
    this.detail = el("section", { class: "detail", tabindex: "-1", "aria-label": "Checkpoint" });
    this.element = el(
      "div",
      { class: "view three" },
      el("section", { class: "pane" }, el("header", {}, this.search), this.threads.element),
      el("section", { class: "pane timeline" }, el("header", { class: "headline" }, back, this.title), this.checkpoints.element),
      this.detail,
    );
  }

  makeThreads() {
    return new List({
      label: "Threads",
      id: (row) => row.threadId,
      load: async (cursor, signal) => {
        const query = { prefix: this.search.value, limit: PAGE, cursor };
        const page = await ask("/api/inspect/threads", { query, signal });
        return { rows: rows(page.threads), next: page.nextCursor };
      },
      row: (row) => [
        el("div", { class: "line" }, named(row.threadId, { class: "key grow" })),
        el("div", { class: "line faint" }, el("span", { class: "grow" }, count(row.checkpoints, "checkpoint")), ago(row.putAt, this.session.now())),
      ],
      open: (row) => this.session.go("threads", row.threadId),
      enter: () => this.checkpoints.element.focus(),
      empty: () => (this.search.value === "" ? "No thread of LangGraph lies in this store." : "No thread begins so."),
    });
  }

  makeCheckpoints() {
    return new List({
      label: "Checkpoints, newest first",
      id: (row) => `${row.graph}\n${row.checkpointId}`,
      load: async (cursor, signal) => {
        const query = { thread: this.thread, limit: PAGE, cursor };
        const page = await ask("/api/inspect/checkpoints", { query, signal });
        return { rows: rows(page.checkpoints), next: page.nextCursor };
      },
      row: (row) => milestone(row),
      open: (row) => this.session.go("threads", this.thread, row.graph, row.checkpointId),
      enter: () => this.detail.focus(),
      empty: () => "This thread has no checkpoint any more.",
    });
  }

  show([thread = null, graph = null, id = null]) {
    this.element.dataset.depth = thread === null ? 0 : id === null ? 1 : 2;
    if (!this.isLoaded) {
      this.isLoaded = true;
      this.threads.reload();
    }
    if (thread !== this.thread) this.showThread(thread);
    this.place = id === null ? null : { graph, id };
    this.checkpoints.selected = id === null ? null : `${graph}\n${id}`;
    this.checkpoints.mark();
    this.showCheckpoint();
  }

  showThread(thread) {
    this.thread = thread;
    this.threads.selected = thread;
    this.threads.mark();
    fill(this.title, thread === null ? "" : named(thread));
    if (thread === null) fill(this.checkpoints.element, state("Choose a thread."));
    else this.checkpoints.reload();
  }

  follow() {}

  refresh({ keep = true } = {}) {
    this.threads.reload({ keep });
    if (this.thread !== null) this.checkpoints.reload({ keep });
  }

  async showCheckpoint() {
    const { thread, place } = this;
    if (place === null) return fill(this.detail, thread === null ? null : state("Choose a checkpoint."));
    fill(this.detail, state("Loading…"));
    try {
      const found = await this.read(thread, place.graph, place.id);
      const parent = await this.parent(thread, place.graph, found.parentId);
      if (this.place === place) this.showFound(found, parent);
    } catch (error) {
      if (this.place === place) fill(this.detail, failure(error, () => this.showCheckpoint()));
    }
  }

  read(thread, graph, checkpoint) {
    return ask("/api/inspect/checkpoint", { query: { thread, graph, checkpoint } });
  }

  /** The checkpoint before; null where there is none, or it was pruned. */
  async parent(thread, graph, id) {
    if (id === null) return null;
    try {
      return await this.read(thread, graph, id);
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }

  showFound(found, parent) {
    const back = button("‹ Checkpoints", () => this.session.go("threads", this.thread), { class: "back" });
    const written = membersOf(found.checkpoint).ts;
    const head = el("header", {}, back, el("h2", {}, heading(found)), source(found.metadata));
    const facts = el(
      "p",
      { class: "faint" },
      typeof written === "string" && `${moment(Date.parse(written))} · `,
      found.graph !== "" && ["graph ", named(found.graph), " · "],
      "checkpoint ",
      named(found.checkpointId),
    );
    const parts = {
      changes: ["Changes", () => changes(found, parent)],
      state: ["State", () => channels(found.channels)],
      writes: [`Writes (${found.writes.length})`, () => writes(found.writes)],
      metadata: ["Metadata", () => [tree(found.metadata, false), tree(found.checkpoint, false)]],
    };
    const body = el("div", { role: "tabpanel" });
    const tabs = Object.entries(parts).map(([part, [name, shown]]) => {
      return button(name, () => choose(part, shown), { role: "tab", "data-part": part });
    });
    const choose = (part, shown) => {
      this.part = part;
      for (const tab of tabs) tab.setAttribute("aria-selected", String(tab.dataset.part === part));
      fill(body, shown());
    };
    fill(this.detail, head, facts, el("div", { class: "tabs", role: "tablist" }, tabs), body);
    choose(this.part, parts[this.part][1]);
  }
}

function membersOf(value) {
  return value instanceof Map ? members(value) : {};
}

function heading({ metadata }) {
  const { step } = membersOf(metadata);
  return typeof step === "number" ? `Step ${step}` : "Checkpoint";
}

function source(metadata) {
  const { source: name } = membersOf(metadata);
  return typeof name === "string" && el("span", { class: `badge ${name}` }, name);
}

function milestone(row) {
  const { ts } = membersOf(row.checkpoint);
  const time = typeof ts === "string" ? moment(Date.parse(ts)).slice(11) : "";
  return [
    el("span", { class: "dot", "aria-hidden": "true" }),
    el("div", { class: "line" }, el("span", { class: "key grow" }, heading(row)), source(row.metadata)),
    el("div", { class: "line faint" }, el("span", { class: "grow" }, time), row.graph !== "" && named(row.graph, { class: "preview" })),
  ];
}

function channels(list) {
  if (list.length === 0) return state("The state is empty.");
  return rows(list).map(({ channel, form, sizeBytes, value, exact }) => {
    const fact = el("span", { class: "faint" }, `${form} · ${size(sizeBytes)}`);
    return el("section", { class: "channel" }, el("h3", {}, named(channel), fact), tree(value, exact));
  });
}

/** Channels that LangGraph keeps for itself stand behind those of the graph's state. */
function inOrder(names) {
  const isOwn = (name) => /^(branch:|__)/.test(name);
  return [...names].sort((a, b) => isOwn(a) - isOwn(b));
}

function changes(found, parent) {
  if (found.parentId !== null && parent === null) {
    return el("p", { class: "note" }, "The checkpoint before this one is not there any more; see its state instead.");
  }
  const [before, after] = [parent, found].map((checkpoint) => new Map(rows(checkpoint?.channels ?? []).map((row) => [row.channel, row])));
  const shown = [];
  let same = 0;
  for (const name of inOrder(new Set([...before.keys(), ...after.keys()]))) {
    const [was, is] = [before.get(name), after.get(name)];
    if (was && is && was.version === is.version) {
      same += 1;
      continue;
    }
    const isExact = (was?.exact ?? true) && (is?.exact ?? true);
    const value = (row) => (row ? row.value : ABSENT);
    shown.push(el("section", { class: "channel" }, el("h3", {}, named(name)), difference(value(was), value(is), { isExact })));
  }
  const rest = same > 0 && el("p", { class: "faint" }, `${count(same, "channel")} did not change.`);
  return shown.length === 0 && !rest ? state("Nothing changed.") : [shown, rest];
}

function writes(list) {
  if (list.length === 0) return state("No task wrote anything after this checkpoint.");
  return rows(list).map((write) => {
    const fact = el("span", { class: "faint" }, "task ", named(write.taskId.slice(0, 8)), ` · ${write.form} · ${size(write.sizeBytes)}`);
    const isFlat = !(write.value instanceof Map || Array.isArray(write.value));
    return el("section", { class: "channel" }, el("h3", {}, named(write.channel), fact), isFlat ? scalar(write.value) : tree(write.value, write.exact));
  });
}
