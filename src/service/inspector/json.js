// JSON read and written exactly: members keep their order, and a number that JavaScript would round keeps its digits.
//
// An object becomes a Map, so that no name of a member means anything to JavaScript.

/** A number as its digits stand, where JavaScript's own would look or be different. */
export class Exact {
  constructor(text) {
    this.text = text;
  }
}

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORDS = new Map([
  ["true", true],
  ["false", false],
  ["null", null],
]);

/** Reads a text that a server wrote without blanks between its parts. */
export function parse(text) {
  return new Parser(text).value();
}

class Parser {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  value() {
    const first = this.text[this.at];
    if (first === "{") return this.object();
    if (first === "[") return this.array();
    if (first === '"') return this.string();
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  object() {
    const members = new Map();
    this.at += 1;
    while (!this.ends("}")) {
      const name = this.string();
      this.at += 1;
      members.set(name, this.value());
    }
    return members;
  }

  array() {
    const items = [];
    this.at += 1;
    while (!this.ends("]")) items.push(this.value());
    return items;
  }

  ends(bracket) {
    const here = this.text[this.at];
    if (here === undefined) throw new SyntaxError("the answer ends early");
    if (here === bracket || here === ",") this.at += 1;
    return here === bracket;
  }

  string() {
    let end = this.at;
    let escapes;
    do {
      end = this.text.indexOf('"', end + 1);
      if (end < 0) throw new SyntaxError("the answer ends early");
      for (escapes = 0; this.text[end - 1 - escapes] === "\\"; ) escapes += 1;
    } while (escapes % 2 === 1);
    const raw = this.text.slice(this.at, end + 1);
    this.at = end + 1;
    return raw.includes("\\") ? JSON.parse(raw) : raw.slice(1, -1);
  }

  number() {
    NUMBER.lastIndex = this.at;
    const digits = NUMBER.exec(this.text)?.[0];
    if (digits === undefined) throw new SyntaxError("the answer is not JSON");
    this.at += digits.length;
    return String(Number(digits)) === digits ? Number(digits) : new Exact(digits);
  }
}

/** Writes a value in lines, as a person reads it. */
export function pretty(value, indent = "") {
  const deeper = `${indent}  `;
  if (value instanceof Map) {
    const members = [...value].map(([name, member]) => `${deeper}${JSON.stringify(name)}: ${pretty(member, deeper)}`);
    return members.length === 0 ? "{}" : `{\n${members.join(",\n")}\n${indent}}`;
  }
  if (Array.isArray(value)) {
    const items = value.map((item) => deeper + pretty(item, deeper));
    return items.length === 0 ? "[]" : `[\n${items.join(",\n")}\n${indent}]`;
  }
  return value instanceof Exact ? value.text : JSON.stringify(value);
}

export function isEqual(a, b) {
  if (a === b) return true;
  if (a instanceof Exact && b instanceof Exact) return a.text === b.text;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, at) => isEqual(item, b[at]));
  if (!(a instanceof Map && b instanceof Map) || a.size !== b.size) return false;
  return [...a].every(([name, member]) => b.has(name) && isEqual(member, b.get(name)));
}
