// Who may do what: the agents that the service knows and the tokens that speak for them. A secret is shown once.

import { ask, rows, segment } from "./api.js";
import { button, confirmed, copying, el, failure, fill, moment, named, state, told } from "./dom.js";

export class Access {
  constructor(session) {
    this.session = session;
    this.agents = el("div");
    this.tokens = el("div");
    this.element = el(
      "div",
      { class: "view one" },
      el(
        "div",
        { class: "detail" },
        el("section", {}, el("header", {}, el("h2", { class: "grow" }, "Agents")), this.agents, !session.readOnly && this.agentForm()),
        el("section", {}, el("header", {}, el("h2", { class: "grow" }, "Tokens")), this.tokens, !session.readOnly && this.tokenForm()),
      ),
    );
  }

  show() {
    this.refresh();
  }

  follow() {}

  refresh() {
    this.load(this.agents, "/api/agents", "agents", "No agent is registered; any id may call with a token.", ["Agent", "Lead", "May use", ""], (agent) => [
      named(agent.id),
      agent.lead ? "lead" : "",
      agent.capabilities === null ? "everything" : agent.capabilities.join(", "),
      this.removal("Forget", "Forget agent", `/api/agents/${segment(agent.id)}`, agent.id),
    ]);
    this.load(this.tokens, "/api/tokens", "tokens", "There is no token yet.", ["Agent", "Scopes", "Expires", "Token", ""], (token) => [
      named(token.agentId),
      token.scopes.join(", "),
      token.expiresAt === null ? "never" : moment(token.expiresAt),
      el("code", {}, `sst_${token.id}_…`),
      this.removal("Revoke", "Revoke the token of", `/api/tokens/${segment(token.id)}`, token.agentId),
    ]);
  }

  async load(place, path, name, empty, heads, cells) {
    if (place.childElementCount === 0) fill(place, state("Loading…"));
    try {
      const found = await everything(path, name);
      const body = found.map((row) => el("tr", {}, cells(row).map((cell) => el("td", {}, cell))));
      const head = el("thead", {}, el("tr", {}, heads.map((text) => el("th", {}, text))));
      fill(place, found.length === 0 ? state(empty) : el("div", { class: "scrolling" }, el("table", {}, head, el("tbody", {}, body))));
    } catch (error) {
      if (error.status === 401) document.dispatchEvent(new CustomEvent("signedout"));
      fill(place, failure(error, () => this.refresh()));
    }
  }

  removal(label, question, path, id) {
    if (this.session.readOnly) return null;
    return button(`${label}…`, async () => {
      const content = el("p", {}, "Whoever uses it is refused within two seconds. This cannot be undone.");
      if (!(await confirmed(`${question} ${id}?`, content, label))) return;
      await this.change(() => ask(path, { method: "DELETE" }));
    }, { class: "quiet" });
  }

  async change(work) {
    try {
      await work();
      this.refresh();
    } catch (error) {
      this.session.complain(error);
    }
  }

  agentForm() {
    const id = el("input", { name: "id", required: true, placeholder: "agent id", "aria-label": "Agent id", autocomplete: "off" });
    const lead = el("input", { type: "checkbox", name: "lead" });
    return this.form([id, el("label", {}, lead, " lead, who writes in every agent's namespace"), button("Add agent", null, { type: "submit" })], async (form) => {
      await ask("/api/agents", { method: "POST", body: { id: id.value.trim(), lead: lead.checked } });
      form.reset();
    });
  }

  tokenForm() {
    const agent = el("input", { name: "agent", required: true, placeholder: "agent id", "aria-label": "The token's agent", autocomplete: "off" });
    const scopes = ["read", "write", "admin"].map((name) => [name, el("input", { type: "checkbox", name, checked: name !== "admin" })]);
    const days = el("input", { type: "number", min: "1", max: "3650", placeholder: "never", "aria-label": "Days until it expires" });
    const labels = scopes.map(([name, box]) => el("label", {}, box, ` ${name}`));
    return this.form([agent, labels, el("label", {}, "expires in ", days, " days"), button("Make token", null, { type: "submit" })], async (form) => {
      const body = { agentId: agent.value.trim(), scopes: scopes.filter(([, box]) => box.checked).map(([name]) => name) };
      if (days.value !== "") body.expiresInSec = Number(days.value) * 86_400;
      const made = await ask("/api/tokens", { method: "POST", body });
      form.reset();
      const secret = el("code", { class: "secret" }, made.token);
      told("The new token", el("div", {}, el("p", {}, "Copy it now: its secret is shown this once."), secret, copying("Copy token", () => made.token)));
    });
  }

  form(children, work) {
    const form = el("form", { class: "adding" }, children);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.change(() => work(form));
    });
    return form;
  }
}

/** All rows of a table of the registry. */
async function everything(path, name) {
  const found = [];
  let cursor = null;
  do {
    const page = await ask(path, { query: { limit: 1000, cursor } });
    found.push(...rows(page[name]));
    cursor = page.nextCursor ?? null;
  } while (cursor !== null);
  return found;
}
