// The API, with what a session needs. A failed call throws Failed with the problem's own words, in the language of the page.

import { said as spoken } from "/static/phrases.js";

export class Failed extends Error {
  constructor(status, problem) {
    super(spoken(problem.detail, "problem") || problem.title || `${status}`);
    this.status = status;
    this.problem = problem;
  }
}

// Other sites cannot read this cookie, so they cannot change anything in our name.
function csrf() {
  return document.cookie.match(/(?:^|; )(?:__Host-)?brewline-csrf=([^;]+)/)?.[1] ?? "";
}

// purpose: what personal data is opened for; it is noted in the audit trail.
export async function get(path, asked = {}, { purpose } = {}) {
  const known = Object.entries(asked).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(known).toString();
  return call("GET", path + (query ? `?${query}` : ""), undefined, purpose);
}

export async function post(path, said = {}, { purpose } = {}) {
  return call("POST", path, said, purpose);
}

export async function remove(path) {
  return call("DELETE", path);
}

async function call(method, path, said, purpose) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers: { ...(said === undefined ? {} : { "content-type": "application/json" }), ...(method === "GET" ? {} : { "x-csrf-token": csrf() }), ...(purpose ? { "x-purpose": purpose } : {}) },
      body: said === undefined ? undefined : JSON.stringify(said),
    });
  } catch (error) {
    throw new Failed(0, { detail: error.message });
  }
  if (response.status === 401 && !path.startsWith("/enter")) location.reload(); // the server shows how to sign in
  const body = response.headers.get("content-type")?.includes("json") ? await response.json() : {};
  if (!response.ok) throw new Failed(response.status, body);
  return body;
}
