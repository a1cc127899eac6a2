// Calls to the server, relative to where the page's files come from, so that any path prefix works.
//
//   const {jobs} = await get("jobs", {status: "failed"});       raises ApiError: code, status, detail

import { at } from "../frame/router.js";
import { heard } from "./clock.js";

export const base = new URL("../../../", import.meta.url);

export class ApiError extends Error {
  constructor(message, more = {}) {
    super(message);
    Object.assign(this, { code: "no_answer", status: 0, detail: {} }, more);
  }
}

// What the server can answer for a moment of the past (docs/time-travel.md). All else is of now, whatever is looked at.
const OF_A_MOMENT = /^(queues|queue\/status|queue\/[^/]+(\/stats|\/jobs)?|jobs(\/counts)?|fields|job\/[^/]+(\/history|\/why)?|workers\/status|failures|stats\/series)$/;

export function address(path, query = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query)) {
    if (value != null && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

let reading = 0;
// Nothing is being read: whoever moves the moment on waits for that, or a slow server would never get to answer.
export const idle = () => reading === 0;

export async function get(path, query = {}, options = {}) {
  const when = OF_A_MOMENT.test(path) ? { at: at.value } : {};
  reading += 1;
  try {
    return await call("GET", path, undefined, { ...options, query: { ...when, ...query } });
  } finally {
    reading -= 1;
  }
}
export const post = (path, body = {}) => call("POST", path, body);
export const put = (path, body) => call("PUT", path, body);
export const patch = (path, body) => call("PATCH", path, body);
export const del = (path) => call("DELETE", path);

async function call(method, path, body, { query, signal } = {}) {
  const answer = await sent(method, address(path, query), body, signal);
  // The session is over: the same address shows the login page, and then this page again.
  if (answer.status === 401) {
    location.reload();
    return new Promise(() => {});
  }
  const said = await bodyOf(answer);
  // /health says 503 when something is sick, and that is its answer.
  if (!answer.ok && said.error) throw new ApiError(said.error, { code: said.code, status: answer.status, detail: said.detail });
  // What was asked for another moment than is looked at by now says nothing of time.
  if (said.timestamp && (query?.at ?? null) === at.value) heard(said.timestamp);
  return said;
}

async function sent(method, url, body, signal) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  try {
    return await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("the server does not answer");
  }
}

// A body that was cut off by an abort is no answer at all.
async function bodyOf(answer) {
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(`the server answered ${answer.status}`, { status: answer.status });
  }
}
