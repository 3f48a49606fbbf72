// Elements of the page, made of text nodes and attributes alone: nothing that a store holds ever becomes HTML.
//
// Here is also how names, sizes and times look. Characters that a person cannot see, or that turn the direction of a line, are
// shown by their code.

/** Makes an element. `on…` properties listen; true is a bare attribute, and false or null is none. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  fill(element, ...children);
  return element;
}

/** Replaces what an element holds. */
export function fill(element, ...children) {
  const shown = children.flat(2).filter((child) => child !== null && child !== undefined && child !== false);
  element.replaceChildren(...shown);
  return element;
}

export function button(text, onclick, properties = {}) {
  return el("button", { type: "button", onclick, ...properties }, text);
}

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu;

/** A name in visible characters. */
export function visible(text) {
  return text.replace(UNSEEN, (found) => `\\u${found.codePointAt(0).toString(16).padStart(4, "0")}`);
}

/** A name; the empty one is told. */
export function named(text, properties = {}) {
  if (text === "") return el("span", { class: "faint" }, "(empty name)");
  return el("bdi", { title: visible(text), ...properties }, visible(text));
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let scaled = bytes;
  let unit = -1;
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${units[unit]}`;
}

/** A number with its noun, of which the plural takes an s. */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

const two = (number) => String(number).padStart(2, "0");

/** A moment in the time of this machine, to the second. */
export function moment(milliseconds) {
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return String(milliseconds);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

const SPANS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
];

/** A duration in its two greatest units. */
export function span(milliseconds) {
  let left = Math.max(0, milliseconds);
  const parts = [];
  for (const [unit, length] of SPANS) {
    const whole = Math.floor(left / length);
    left -= whole * length;
    if (whole > 0 || (unit === "s" && parts.length === 0)) parts.push(`${whole} ${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

export function ago(milliseconds, now) {
  return now - milliseconds < 1000 ? "just now" : `${span(now - milliseconds).replace(/ (\w) .*/, " $1")} ago`;
}

/** Copies a text, and says on the button that it did. */
export function copying(label, text) {
  const copy = button(label, async () => {
    try {
      await navigator.clipboard.writeText(text());
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "The browser refused";
    }
    setTimeout(() => (copy.textContent = label), 1500);
  });
  return copy;
}

/** Asks in a dialog; answers whether the person agreed. Escape is no. */
export function confirmed(title, content, action) {
  return new Promise((resolve) => {
    const close = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const cancel = button("Cancel", () => close(false));
    const agree = button(action, () => close(true), { class: "danger" });
    const dialog = el("dialog", { "aria-label": title }, el("h2", {}, title), content, el("footer", {}, cancel, agree));
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close(false);
    });
    document.body.append(dialog);
    dialog.showModal();
    cancel.focus();
  });
}

/** Shows something until the person closes it. */
export function told(title, content) {
  const dialog = el("dialog", { "aria-label": title }, el("h2", {}, title), content);
  dialog.append(el("footer", {}, button("Close", () => dialog.close())));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** A failure, and a way to try again. */
export function failure(error, again) {
  const retry = again && button("Try again", again);
  return el("div", { class: "state error", role: "alert" }, el("p", {}, error.message), retry);
}

export function state(text) {
  return el("div", { class: "state" }, el("p", {}, text));
}
