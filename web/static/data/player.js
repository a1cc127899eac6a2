// The past, played: the server sends it through the feed of old in its own rhythm times a speed, and once a second
// the address follows, so that every page reads what was the case then.

import { effect } from "../view.js";
import { at, play, setQuery } from "../frame/router.js";
import { failed } from "../frame/toasts.js";
import { address, ApiError, idle } from "./api.js";
import { heard, then } from "./clock.js";
import { Batch } from "./feed-batch.js";
import { live, showPast } from "./live.js";

const PATIENCE = 5000; // ms that a moment is kept for what is still being read
const ENDS = ["live", "end"]; // events of the feed: the present, or the end that was asked for

let source = null;
let speed = null;
let synced = null; // the moment that we ourselves put into the address last
let syncedAt = 0;
let batch = null;

export function startPlayer() {
  effect(() => {
    const [from, wanted] = [at.value, play.value];
    if (source && from === synced && wanted === speed) return;
    stop();
    if (wanted) open(from, wanted);
  });
}

function stop() {
  source?.close();
  source = batch = speed = null;
  live.playing.value = false;
}

function open(from, wanted) {
  speed = wanted;
  synced = from;
  syncedAt = Date.now();
  live.playing.value = true;
  source = new EventSource(address("queue/status", { from, speed }));
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = () => source?.readyState === EventSource.CLOSED && refused();
  for (const kind of ENDS) source.addEventListener(kind, () => setQuery({ at: null, play: null }));
}

function refused() {
  setQuery({ play: null });
  failed(new ApiError("the server does not play this moment"));
}

// All that came since the last frame of the screen is shown at once.
function take(frame) {
  if (!batch) {
    batch = new Batch();
    requestAnimationFrame(show);
  }
  batch.add({ frame });
  if (frame.type === "queue_stats") follow(frame.timestamp);
}

function show() {
  if (batch) showPast(batch);
  batch = null;
}

function follow(moment) {
  heard(moment);
  if (!idle() && Date.now() - syncedAt < PATIENCE) return;
  synced = moment;
  syncedAt = Date.now();
  setQuery({ at: moment });
}

// Play from where one is at this speed, or with null stop there.
export function playAt(wanted) {
  const moved = live.playing.value && then.value ? { at: new Date(then.value).toISOString() } : {};
  setQuery({ play: wanted, ...moved });
}
