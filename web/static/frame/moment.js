// Where in time one is, and the ways to go elsewhere.

import { computed } from "../view.js";
import { get } from "../data/api.js";
import { present, then } from "../data/clock.js";
import { live } from "../data/live.js";
import { at, bar, match, route, setQuery } from "./router.js";

export const SPANS = { "15m": [900, "15 min"], "1h": [3600, "1 h"], "6h": [21_600, "6 h"], "24h": [86_400, "24 h"], "7d": [604_800, "7 d"], "30d": [2_592_000, "30 d"] };
const USUAL = "1h";
const PAGE = 900; // events that are looked at at once, backwards
const FARTHEST = 20; // of these pages

export const open = computed(() => bar.value != null || at.value != null);
export const spanName = computed(() => (bar.value in SPANS ? bar.value : USUAL));
export const span = computed(() => SPANS[spanName.value][0] * 1000);

export const toggle = () => setQuery(open.value ? { bar: null, at: null, play: null } : { bar: USUAL });
export const toNow = () => setQuery({ at: null, play: null, bar: spanName.value });

// A time in ms, or a position. What has not happened yet is now.
export const seek = (time) => (time >= present() ? toNow() : setQuery({ at: new Date(Math.max(0, time)).toISOString() }));
export const seekPosition = (position) => setQuery({ at: String(position), play: null });

let edge = null; // the end of the span, in ms; null: it is now, and goes on with it

// [from, to] in ms of what the bar shows: it stays while the moment is in it.
export function shownSpan() {
  const [width, moment, last] = [span.value, then.value ?? present(), present()];
  if (!at.value) edge = null;
  const to = edge ?? last;
  if (moment <= to && moment >= to - width) return [to - width, to];
  edge = moment + width / 2 < last ? moment + width / 2 : null;
  return [(edge ?? last) - width, edge ?? last];
}

export function moveSpan(share) {
  const moment = then.value ?? present();
  seek(moment + share * span.value);
}

// What events the page is about: those of its job, of its queue, or all.
function pageEvents() {
  const { path } = route.value;
  const job = match("/job/:id", path);
  if (job) return { job: job.id };
  const queue = match("/queue/:name", path);
  return queue ? { queue: queue.name } : {};
}

// Where the address names a position that is where one is, whatever was read of it so far.
const here = () => (/^\d+$/.test(at.value ?? "") ? Number(at.value) : live.position.value);

// To the event after this moment (1), or the one before it (-1), of what the page is about.
export async function step(direction) {
  const found = await (direction > 0 ? following : previous)(here(), pageEvents());
  if (found) seekPosition(found.position);
  else if (direction > 0) toNow();
}

async function following(position, which) {
  let after = position;
  while (after != null) {
    const { events, next } = await get("events", { ...which, after, limit: 1, at: null });
    if (events.length) return events[0];
    after = next;
  }
  return null;
}

async function previous(position, which) {
  for (let page = 1; page <= FARTHEST && position > 0; page += 1) {
    const after = which.job ? 0 : Math.max(0, position - PAGE - 1);
    const { events } = await get("events", { ...which, after, limit: 1000, at: null });
    const found = events.filter((event) => event.position < position).at(-1);
    if (found || !after) return found;
    position = after + 1;
  }
  return null;
}
