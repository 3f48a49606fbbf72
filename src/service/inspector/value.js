// A value as a tree that a person reads, opens and closes; children are made when somebody looks at them.
//
// A value that is not exact holds members that begin with `$`: what JSON cannot hold, told by the server. A `$` in front of a
// stored name is doubled there.

import { button, count, el, fill, size, visible } from "./dom.js";
import { Exact } from "./json.js";

/** Children that are shown at a time, and rows that a tree opens by itself. */
const CHUNK = 100;
const OPENED = 60;

/** Characters of a text that are shown before somebody asks for the rest. */
const SHOWN_TEXT = 2000;

/** The tree of a value. */
export function tree(value, isExact = true) {
  const room = { left: OPENED };
  return el("div", { class: "tree" }, node(null, value, isExact, room));
}

/** One line that stands for a value. */
export function brief(value, isExact = true) {
  const marked = isExact ? null : marker(value);
  if (marked) return marked.inner === undefined ? marked.shown : [marked.shown, " ", brief(marked.inner, isExact)];
  if (value instanceof Map) return faint(value.size === 0 ? "{}" : `{ ${count(value.size, "member")} }`);
  if (Array.isArray(value)) return faint(value.length === 0 ? "[]" : `[ ${count(value.length, "item")} ]`);
  return scalar(value);
}

/** What a member is called, in a value that is exact or not. */
export function nameOf(name, isExact) {
  if (isExact || !name.startsWith("$")) return visible(name);
  return visible(name.startsWith("$key:") ? name.slice(5) : name.slice(1));
}

function faint(text) {
  return el("span", { class: "faint" }, text);
}

/** A value without members. */
export function scalar(value) {
  if (value instanceof Exact) return el("span", { class: "number" }, value.text);
  if (typeof value === "string") return text(value);
  if (typeof value === "number") return el("span", { class: "number" }, Object.is(value, -0) ? "-0" : String(value));
  return el("span", { class: "word" }, String(value));
}

/** A text in visible characters, in its own lines. */
export function lines(text) {
  return text.replaceAll("\t", "  ").split("\n").map(visible).join("\n");
}

function text(value) {
  if (value === "") return faint('""');
  const span = el("span", { class: "text" }, lines(value.slice(0, SHOWN_TEXT)));
  if (value.length > SHOWN_TEXT) {
    const rest = `show ${(value.length - SHOWN_TEXT).toLocaleString("en")} more characters`;
    span.append(" ", button(rest, () => fill(span, lines(value)), { class: "link" }));
  }
  return span;
}

/** What a `$` member tells: how it is shown, and the value within; null for a value like any other. */
export function marker(value) {
  if (!(value instanceof Map)) return null;
  const [name] = value.keys();
  switch (name) {
    case "$type": {
      const [, [, inner]] = value;
      const whole = value.get("$type");
      const shown = el("span", { class: "type", title: visible(whole) }, visible(whole.split(".").at(-1) || "object"));
      return { shown, inner, type: whole };
    }
    case "$bytes":
      return { shown: el("span", { class: "type" }, `bytes · ${size(value.get("$bytes"))}`) };
    case "$ext":
      return { shown: el("span", { class: "type" }, `extension ${value.get("$ext")} · ${size(value.get("$bytes"))}`) };
    case "$text":
      return { shown: el("span", {}, text(value.get("$text")), faint(` … of ${size(value.get("$length"))}`)) };
    case "$float":
      return { shown: el("span", { class: "number" }, visible(value.get("$float"))) };
    case "$more":
      return { shown: faint(`… ${value.get("$more").toLocaleString("en")} more, not shown`) };
    case "$deep":
      return { shown: faint("… nested deeper than is shown") };
    case "$malformed":
      return { shown: el("span", { class: "bad" }, visible(value.get("$malformed"))) };
    default:
      return null;
  }
}

function node(name, value, isExact, room) {
  const label = name === null ? null : el("span", { class: "name" }, name);
  const marked = isExact ? null : marker(value);
  const inner = marked?.inner !== undefined ? marked.inner : value;
  const children = marked && marked.inner === undefined ? [] : childrenOf(inner, isExact);
  if (children.length === 0) return el("div", { class: "leaf" }, label, brief(value, isExact));
  const isOpen = room.left > 0 && (children.length <= room.left || name === null);
  const summary = el("summary", {}, label, brief(value, isExact));
  const branch = el("details", { open: isOpen }, summary);
  const grow = () => branch.childElementCount === 1 && branch.append(nodes(children, isExact, room));
  if (isOpen) {
    room.left -= children.length;
    grow();
  }
  branch.addEventListener("toggle", grow);
  return branch;
}

function childrenOf(value, isExact) {
  if (Array.isArray(value)) return value.map((item, at) => [String(at), item]);
  if (!(value instanceof Map)) return [];
  return [...value].map(([name, member]) =>
    !isExact && name === "$more" ? ["…", new Map([[name, member]])] : [nameOf(name, isExact), member],
  );
}

function nodes(children, isExact, room) {
  const box = el("div", { class: "children" });
  let shown = 0;
  const more = () => {
    const chunk = children.slice(shown, shown + CHUNK);
    shown += chunk.length;
    box.append(...chunk.map(([name, child]) => node(name, child, isExact, room)));
    if (shown < children.length) {
      const rest = button(`show more of ${count(children.length - shown, "item")}`, () => (rest.remove(), more()), {
        class: "link",
      });
      box.append(rest);
    }
  };
  more();
  return box;
}
