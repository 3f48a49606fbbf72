// The REST API as this page calls it: the key, which lives in this module's memory alone, and what the server refuses.

import { parse } from "./json.js";

let key = "";

/** What the server did not do, and its status; 0 = it did not answer. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function useKey(text) {
  key = text;
}

/** Asks for `path` and answers what stands in the document, its members by name; nested objects stay Maps. */
export async function ask(path, { query = {}, method = "GET", body, signal } = {}) {
  const response = await send(path, { query, method, body, signal });
  const text = await response.text();
  if (!response.ok) throw new Refused(detail(text, response), response.status);
  return text === "" ? {} : members(parse(text));
}

/** A response whose body is read by the caller, as a stream is. */
export async function send(path, { query = {}, method = "GET", body, signal, headers = {} }) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const search = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
  const sent = body === undefined ? {} : { "Content-Type": "application/json" };
  try {
    return await fetch(path + search, {
      method,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { Authorization: `Bearer ${key}`, ...sent, ...headers },
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer. Is it still running?", 0);
  }
}

function detail(text, response) {
  try {
    return parse(text).get("detail") ?? response.statusText;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

/** A Map as an object without a prototype, so that any name is only a name. */
export function members(map) {
  const object = Object.create(null);
  for (const [name, value] of map) object[name] = value;
  return object;
}

/** A list of Maps as objects. */
export function rows(list) {
  return list.map(members);
}

export function segment(name) {
  return encodeURIComponent(name);
}
