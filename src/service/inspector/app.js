// The page as a whole: signing in, the four views, where each stands in the address, and the keys of the keyboard.
//
// The operator's key is in memory alone: it comes from the form or from the address' fragment, which loses it at once. What is
// shown stands in the fragment, so that Back works.

import { Access } from "./access.js";
import { ask, useKey } from "./api.js";
import { button, count, el, fill, size, told } from "./dom.js";
import { Keys } from "./keys.js";
import { Snapshots } from "./snapshots.js";
import { Threads } from "./threads.js";

const VIEWS = { keys: ["Keys", Keys], snapshots: ["Snapshots", Snapshots], threads: ["Threads", Threads], access: ["Access", Access] };

const HELP = [
  ["↑ ↓ PgUp PgDn Home End", "move in a list"],
  ["Enter", "go on to what the selected row shows"],
  ["Escape", "clear the search, go back"],
  ["/", "search by the beginning of names"],
  ["1 2 3 4", "Keys, Snapshots, Threads, Access"],
  ["r", "read again"],
  ["?", "this help"],
];

class Session {
  constructor(store) {
    this.offset = store.now - Date.now();
    this.readOnly = store.readOnly;
    this.usage = el("span", { class: "usage" });
    this.pulse = el("span", { class: "pulse", title: "" });
    this.views = {};
    this.place = el("main");
    this.links = this.offered().map((name, at) => {
      return el("a", { href: `#/${name}`, "data-view": name, title: `Key ${at + 1}` }, VIEWS[name][0]);
    });
    this.notice = el("div", { class: "notice", role: "status", hidden: true });
    const mode = this.readOnly && el("span", { class: "badge" }, "read-only");
    const bar = el(
      "header",
      { class: "bar" },
      el("a", { class: "brand", href: "#/keys" }, "swarmstate"),
      el("nav", {}, this.links),
      el("span", { class: "grow" }),
      this.pulse,
      mode,
      this.usage,
      button("?", help, { class: "quiet", "aria-label": "Keys of the keyboard" }),
    );
    fill(document.body, bar, this.place, this.notice);
    this.showStore(store);
    this.listening = new AbortController();
    const { signal } = this.listening;
    addEventListener("hashchange", () => this.route(), { signal });
    addEventListener("keydown", (event) => this.pressed(event), { signal });
    this.route();
  }

  /** A store that is only looked into knows no agents and tokens. */
  offered() {
    return Object.keys(VIEWS).filter((name) => name !== "access" || !this.readOnly);
  }

  end() {
    this.listening.abort();
    for (const view of Object.values(this.views)) view.follow(false);
  }

  now() {
    return Date.now() + this.offset;
  }

  showStore(store) {
    fill(this.usage, `${store.engine} · ${count(store.entries, "entry").replace("entrys", "entries")} · ${size(store.sizeBytes)}`);
  }

  async refresh() {
    try {
      this.showStore(await ask("/api/inspect"));
    } catch (error) {
      this.complain(error);
    }
  }

  told(how) {
    this.pulse.className = `pulse ${how}`;
    this.pulse.title = how === "live" ? "Changes show as they happen" : "The server does not answer";
    fill(this.pulse, how);
  }

  tell(text) {
    fill(this.notice, text);
    this.notice.hidden = false;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => (this.notice.hidden = true), 6000);
  }

  complain(error) {
    if (error.status === 401) document.dispatchEvent(new CustomEvent("signedout"));
    else this.tell(error.message);
  }

  go(view, ...parts) {
    const last = parts.findLastIndex((part) => part !== null && part !== undefined);
    const path = parts.slice(0, last + 1).map((part) => `/${encodeURIComponent(part ?? "")}`);
    location.hash = `#/${view}${path.join("")}`;
  }

  route() {
    const [, asked, ...parts] = location.hash.split("/");
    const name = this.offered().includes(asked) ? asked : "keys";
    const view = (this.views[name] ??= new VIEWS[name][1](this));
    if (this.current !== view) {
      this.current?.follow(false);
      this.current = view;
      fill(this.place, view.element);
      view.follow(true);
      for (const link of this.links) link.toggleAttribute("aria-current", link.dataset.view === name);
      this.pulse.hidden = name !== "keys";
    }
    view.show(parts.map(decoded));
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const isTyping = event.target.matches("input, select, textarea");
    if (event.key === "Escape") return this.escape(event.target, isTyping);
    if (isTyping) {
      if (event.key === "ArrowDown" || event.key === "Enter") this.leaveSearch(event);
      return;
    }
    const view = this.offered()[Number(event.key) - 1];
    if (view) this.go(view);
    else if (event.key === "/") this.current.search?.focus();
    else if (event.key === "r") this.current.refresh({ keep: false });
    else if (event.key === "?") help();
    else return;
    event.preventDefault();
  }

  leaveSearch(event) {
    const list = event.target.type === "search" && event.target.closest(".pane")?.querySelector(".list");
    if (!list) return;
    event.preventDefault();
    list.focus();
  }

  /** Clears a search, else goes one step back to the left. */
  escape(target, isTyping) {
    if (isTyping && target.value !== "" && target.type === "search") {
      target.value = "";
      target.dispatchEvent(new Event("input"));
      return;
    }
    if (isTyping) return target.blur();
    const parts = location.hash.split("/");
    // The graph and the id of a checkpoint are one step.
    const left = parts[1] === "threads" && parts.length > 3 ? 3 : Math.max(parts.length - 1, 2);
    location.hash = parts.slice(0, left).join("/");
    this.place.querySelectorAll(".list")[left - 2]?.focus();
  }
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function help() {
  told("Keys of the keyboard", el("dl", { class: "help" }, HELP.map(([keys, does]) => [el("dt", {}, el("kbd", {}, keys)), el("dd", {}, does)])));
}

let session = null;

async function signIn(key) {
  useKey(key);
  const store = await ask("/api/inspect");
  session = new Session(store);
}

function askForKey(problem) {
  session?.end();
  session = null;
  useKey("");
  const input = el("input", { type: "password", "aria-label": "Key", placeholder: "ssk_… or sst_…", autocomplete: "off", required: true });
  const message = el("p", { class: "bad", role: "alert" }, problem);
  const form = el(
    "form",
    { class: "sign-in" },
    el("h1", {}, "swarmstate"),
    el("p", {}, "The operator's key, or a token with the scope admin. It stays in the memory of this page."),
    input,
    button("Look inside", null, { type: "submit", class: "primary" }),
    message,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await signIn(input.value.trim());
    } catch (error) {
      fill(message, error.status === 403 ? "This token lacks the scope admin." : error.message);
      input.select();
    }
  });
  fill(document.body, form);
  input.focus();
}

async function start() {
  document.addEventListener("signedout", () => session && askForKey("The key is not valid any more."));
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given === null) return askForKey("");
  history.replaceState(null, "", location.pathname);
  try {
    await signIn(given);
  } catch (error) {
    askForKey(error.message);
  }
}

start();
