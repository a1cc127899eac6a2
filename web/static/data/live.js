// What is known of the system now, as signals, and what happens to jobs, as batches. A frame of the screen takes
// one batch, however many events it holds.
//
//   live.queues.value.reports.depth
//   useEffect(() => onJobs((updates) => ...), [])     [{id, queue, type, status, version, position, at, ...}]
//   useEffect(() => onReset(() => ...), [])           read your list again: the stream has a gap, or began anew

import { batch, computed, signal } from "../view.js";
import { at } from "../frame/router.js";
import { get } from "./api.js";
import { heard } from "./clock.js";
import { follow } from "./feed.js";
import { failed } from "../frame/toasts.js";

export const live = {
  queues: signal(null), // name -> stats; null: not known yet
  workers: signal(null), // the answer of /workers/status
  health: signal({ database: "healthy", redis: "healthy" }),
  stream: signal("wait"), // wait | live | lost
  behind: signal(0), // positions between the log's head and what was shown last
  position: signal(0),
  paused: signal(false),
  held: signal(0), // job updates that came while paused
  playing: signal(false), // the past is being played (player.js)
};

// One word for the header: past | paused | expired | wait | lost | database | redis | behind | live.
export const connection = computed(() => {
  if (at.value) return "past";
  if (live.stream.value !== "live") return live.stream.value;
  if (live.health.value.database !== "healthy") return "database";
  if (live.paused.value) return "paused";
  if (live.health.value.redis !== "healthy") return "redis";
  return live.behind.value ? "behind" : "live";
});

const jobListeners = new Set();
const resetListeners = new Set();

function listen(listeners, listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
export const onJobs = (listener) => listen(jobListeners, listener);
export const onReset = (listener) => listen(resetListeners, listener);
const tell = (listeners, said) => listeners.forEach((listener) => listener(said));

export function setPaused(paused) {
  live.paused.value = paused;
  if (paused) return;
  const missed = live.held.value;
  live.held.value = 0;
  apply(newest);
  if (missed) tell(resetListeners);
}

let newest = {};

function apply({ stats, workers }) {
  batch(() => {
    if (stats) {
      heard(stats.timestamp);
      live.queues.value = stats.data.queues;
      live.position.value = stats.position;
    }
    if (workers) live.workers.value = workers.data;
  });
}

function take(said) {
  if (said.state === "expired") return void location.reload();
  batch(() => {
    if (said.state) live.stream.value = said.state;
    if (said.health) live.health.value = said.health;
    if (said.behind != null) live.behind.value = said.behind;
    newest = { stats: said.stats ?? newest.stats, workers: said.workers ?? newest.workers };
    if (at.value) return;
    if (live.paused.value) live.held.value += said.jobs.length + said.dropped + (said.reset ? 1 : 0);
    else shown(said);
  });
}

function shown(said) {
  apply(said);
  if (said.reset || said.dropped) tell(resetListeners);
  if (said.jobs.length) tell(jobListeners, said.jobs);
}

// Hidden, a tab is drawn by nobody: it takes what there is once a second.
const soon = (work) => (document.hidden ? setTimeout(work, 1000) : requestAnimationFrame(work));

// The stream takes a while to begin, so what it will say first is read beside it.
export async function readFirst() {
  if (at.value) return;
  const [stats, workers] = await Promise.all([get("queue/status"), get("workers/status")]).catch(() => []);
  if (stats && !live.queues.value && !at.value) apply({ stats, workers: { data: workers } });
}

export function startLive() {
  follow((said, taken) => soon(() => (take(said), taken())));
  at.subscribe((moment) => {
    if (moment && !live.playing.value) return readPast(moment);
    if (!moment) apply(newest);
    return tell(resetListeners);
  });
}

// The state at a moment of the past, once: nothing there changes any more. Whoever drags on wants none of it.
async function readPast(moment) {
  try {
    const [stats, workers] = await Promise.all([get("queue/status"), get("workers/status")]);
    if (at.value === moment) apply({ stats, workers: { data: workers } });
  } catch (error) {
    if (at.value === moment) failed(error);
  }
  if (at.value === moment) tell(resetListeners);
}

// What a replay of the past sends, shown as if it were now.
export const showPast = (said) => at.value && shown(said);
