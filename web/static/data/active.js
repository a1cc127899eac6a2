// The jobs that run now: read once, then kept by the feed. Drawn at most four times a second.

import { signal } from "../view.js";
import { at } from "../frame/router.js";
import { get } from "./api.js";
import { onJobs, onReset } from "./live.js";

const DRAW = 250; // ms
const MOST = 500;

export const active = signal(null); // jobs, the longest running first; null: not known yet

const running = new Map();
const over = new Map(); // ended while the list was being read: id -> version
let reading = false;
let drawing = 0;

function draw() {
  if (drawing) return;
  drawing = setTimeout(() => {
    drawing = 0;
    active.value = [...running.values()].sort((a, b) => (a.started_at < b.started_at ? -1 : 1));
  }, DRAW);
}

function update(job) {
  const known = running.get(job.id);
  if (known && known.version >= job.version) return;
  if (job.status === "processing") running.set(job.id, { ...known, ...job });
  else if (running.delete(job.id) || reading) over.set(job.id, job.version);
}

// The list is a projection: it must have reached what the feed had told before.
async function read() {
  if (reading) return;
  reading = true;
  try {
    const { position } = await get("queue/status");
    const wait = at.value ? {} : { after_position: position };
    merge(await get("jobs", { status: "processing", limit: MOST, ...wait }));
  } catch {
    // Away: the next reset or half-minute reads it.
  }
  reading = false;
  over.clear();
  draw();
}

function merge({ jobs, position }) {
  const listed = new Map(jobs.map((job) => [job.id, job]));
  for (const [id, job] of running) if (!listed.has(id) && (at.value || job.position <= position)) running.delete(id);
  for (const [id, job] of listed) {
    if (job.version > (over.get(id) ?? 0) && job.version > (running.get(id)?.version ?? 0)) running.set(id, job);
  }
}

onJobs((updates) => (updates.forEach(update), draw()));
onReset(read);
// A lost frame corrects itself.
setInterval(() => document.hidden || at.value || read(), 30_000);
read();
