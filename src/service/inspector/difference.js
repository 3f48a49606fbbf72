// The difference between two values: only the members that differ, each with what it was and what it is.
//
// Lists are aligned, so that an item put in front of others does not make all of them differ.

import { button, count, el, fill } from "./dom.js";
import { isEqual } from "./json.js";
import { brief, lines, marker, nameOf, tree } from "./value.js";

/** Comparisons that aligning the middle of two lists may take. */
const ALIGNED = 40_000;

/** Changes that are shown at a time. */
const CHUNK = 100;

/** Stands for a value that is not there. */
export const ABSENT = Symbol("absent");

/** Compares two values; each may be ABSENT. `exactness` tells for both whether `$` members are the server's. */
export function difference(before, after, { isExact = true } = {}) {
  if (before !== ABSENT && after !== ABSENT && isEqual(before, after)) {
    return el("p", { class: "faint" }, "Both are equal.");
  }
  return el("div", { class: "difference" }, change(null, before, after, isExact));
}

function change(name, before, after, isExact) {
  if (before === ABSENT) return side("added", name, after, isExact);
  if (after === ABSENT) return side("removed", name, before, isExact);
  const [was, is, type] = unwrapped(before, after, isExact);
  const changes = changesWithin(was, is);
  if (changes === null) return replaced(name, before, after, isExact);
  const same = changes.same > 0 && el("span", { class: "faint" }, ` ${changes.same.toLocaleString("en")} unchanged`);
  const head = el("div", { class: "within" }, label(name), type, same);
  return el("div", { class: "branch" }, (name !== null || type || same) && head, changed(changes.list, isExact));
}

/** Two objects of one type are compared by what they hold. */
function unwrapped(before, after, isExact) {
  const [was, is] = isExact ? [null, null] : [marker(before), marker(after)];
  const isOneType = was?.inner !== undefined && is?.inner !== undefined && was.type === is.type;
  return isOneType ? [was.inner, is.inner, is.shown] : [before, after, null];
}

/** The changes between two containers of a kind, and how much they share; null for anything else. */
function changesWithin(before, after) {
  if (Array.isArray(before) && Array.isArray(after)) return aligned(before, after);
  if (!(before instanceof Map && after instanceof Map)) return null;
  if ([before, after].some((value) => ["$bytes", "$ext", "$text", "$float"].includes([...value.keys()][0]))) return null;
  const list = [];
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before, after].map((value) => (value.has(name) ? value.get(name) : ABSENT));
    if (was === ABSENT || is === ABSENT || !isEqual(was, is)) list.push([name, was, is]);
  }
  return { list, same: after.size - list.filter(([, , is]) => is !== ABSENT).length };
}

function aligned(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && isEqual(before[start], after[start])) start += 1;
  let end = 0;
  const most = Math.min(before.length, after.length) - start;
  while (end < most && isEqual(before[before.length - 1 - end], after[after.length - 1 - end])) end += 1;
  const [was, is] = [before, after].map((value) => value.slice(start, value.length - end));
  const pairs = was.length * is.length <= ALIGNED ? matches(was, is) : [];
  const list = [];
  let [here, there] = [0, 0];
  for (const [left, right] of [...pairs, [was.length, is.length]]) {
    while (here < left || there < right) {
      const old = here < left ? was[here] : ABSENT;
      const now = there < right ? is[there] : ABSENT;
      const at = start + (now === ABSENT ? here : there);
      if (old !== ABSENT) here += 1;
      if (now !== ABSENT) there += 1;
      list.push([String(at), old, now]);
    }
    here = left + 1;
    there = right + 1;
  }
  return { list, same: start + end + pairs.length };
}

/** The longest common part of two lists, as pairs of places. */
function matches(was, is) {
  const width = is.length + 1;
  const lengths = new Uint32Array((was.length + 1) * width);
  const equal = was.map((old) => is.map((now) => isEqual(old, now)));
  for (let left = was.length - 1; left >= 0; left -= 1) {
    for (let right = is.length - 1; right >= 0; right -= 1) {
      lengths[left * width + right] = equal[left][right]
        ? lengths[(left + 1) * width + right + 1] + 1
        : Math.max(lengths[(left + 1) * width + right], lengths[left * width + right + 1]);
    }
  }
  const pairs = [];
  let [left, right] = [0, 0];
  while (left < was.length && right < is.length) {
    if (equal[left][right]) pairs.push([left++, right++]);
    else if (lengths[(left + 1) * width + right] >= lengths[left * width + right + 1]) left += 1;
    else right += 1;
  }
  return pairs;
}

function changed(list, isExact) {
  const box = el("div", { class: "children" });
  let shown = 0;
  const more = () => {
    const chunk = list.slice(shown, shown + CHUNK);
    shown += chunk.length;
    box.append(...chunk.map(([name, was, is]) => change(nameOf(name, isExact), was, is, isExact)));
    if (shown < list.length) {
      const rest = button(`show more of ${count(list.length - shown, "change")}`, () => (rest.remove(), more()), {
        class: "link",
      });
      box.append(rest);
    }
  };
  more();
  return box;
}

function label(name) {
  return name === null ? null : el("span", { class: "name" }, name);
}

const SIGNS = { added: "+", removed: "−" };

function side(kind, name, value, isExact) {
  const line = el("div", { class: `side ${kind}` }, el("span", { class: "sign" }, SIGNS[kind]));
  const isFlat = !(value instanceof Map || Array.isArray(value));
  line.append(el("div", { class: "said" }, label(name), isFlat ? brief(value, isExact) : tree(value, isExact)));
  return line;
}

/** Whether a value fits beside another one in a line. */
function isShort(value) {
  if (value instanceof Map || Array.isArray(value)) return value instanceof Map ? value.size === 0 : value.length === 0;
  return typeof value !== "string" || (value.length <= 48 && !value.includes("\n"));
}

function replaced(name, before, after, isExact) {
  if (isShort(before) && isShort(after)) {
    const [was, is] = [el("del", {}, brief(before, isExact)), el("ins", {}, brief(after, isExact))];
    return el("div", { class: "instead" }, label(name), was, " → ", is);
  }
  const [was, is] = typeof before === "string" && typeof after === "string" ? words(before, after) : [before, after];
  const shown = (part, value) => (part instanceof Node ? part : [brief(value, isExact)]);
  const sides = [
    ["removed", shown(was, before)],
    ["added", shown(is, after)],
  ].map(([kind, said]) => {
    return el("div", { class: `side ${kind}` }, el("span", { class: "sign" }, SIGNS[kind]), el("div", { class: "said" }, said));
  });
  const head = name !== null && el("div", { class: "within" }, label(name));
  return el("div", { class: "branch" }, head, el("div", { class: "children" }, sides));
}

/** Two texts with what differs between them marked: all but their common beginning and end. */
function words(before, after) {
  let start = 0;
  const most = Math.min(before.length, after.length);
  while (start < most && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  if (start + end === 0) return [before, after];
  return [before, after].map((text) => {
    const middle = text.slice(start, text.length - end);
    const around = (part, isBefore) =>
      lines(part.length <= 160 ? part : isBefore ? `… ${part.slice(-150)}` : `${part.slice(0, 150)} …`);
    const line = el("span", { class: "text" });
    const [before, behind] = [around(text.slice(0, start), true), around(text.slice(text.length - end), false)];
    return fill(line, before, middle && el("mark", {}, lines(middle)), behind);
  });
}
