// The live page: read the state once, then follow the feed. What the feed says is kept here and drawn at
// most four times a second, however much of it there is.

import { get, post } from "./api.js";
import { el, show, text } from "./dom.js";
import { follow } from "./feed.js";
import { number, rate } from "./format.js";
import { activeJobs, failureGroups, recentJobs, workerRows } from "./panels.js";
import { queueCards } from "./queues.js";

const DRAW = 250; // ms
const RECENT = 10;
const ENDED = new Set(["completed", "failed", "cancelled", "expired"]);
const STATES = { live: ["Live", "good"], wait: ["Connecting", "wait"], lost: ["Reconnecting", "bad"],
  database: ["Database away", "bad"], redis: ["Live, slower: no Redis", "wait"] };

const byId = (id) => document.getElementById(id);
const state = { queues: {}, workers: null, active: new Map(), recent: [], failures: [], scopes: new Set(), ahead: 0, over: new Map(), reading: false };

const page = {
  may: (scope) => state.scopes.has(scope),
  // The server's clock: this machine's may be wrong.
  now: () => Date.now() + state.ahead,
  report(error) {
    text(byId("notice"), `${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
    show(byId("notice"), true);
    clearTimeout(page.timer);
    page.timer = setTimeout(() => show(byId("notice"), false), 8000);
  },
};

let cards, active, recent, failures, workers;
let drawing = false;
let failuresAt = 0;

function draw() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    drawNow();
  }, DRAW);
}

function drawNow() {
  cards.set(state.queues);
  active.set([...state.active.values()]);
  recent.set(state.recent);
  failures.set(state.failures);
  if (state.workers) workers.set(state.workers);
  const all = Object.values(state.queues);
  const sum = (field) => all.reduce((total, stats) => total + stats[field], 0);
  text(byId("total-waiting"), number(sum("depth")));
  text(byId("total-running"), number(sum("processing")));
  text(byId("total-rate"), rate(sum("throughput")));
  text(byId("total-workers"), number(state.workers?.active));
  document.title = sum("processing") ? `${number(sum("processing"))} running · Hivelog` : "Hivelog";
}

function onFrame(frame) {
  if (frame.type === "health") return onHealth(frame.data);
  if (frame.timestamp && frame.type !== "job_update") state.ahead = Date.parse(frame.timestamp) - Date.now();
  if (frame.type === "queue_stats") state.queues = frame.data.queues;
  else if (frame.type === "worker_status") state.workers = frame.data;
  else if (frame.type === "job_update") onJob({ ...frame.data, position: frame.position });
  draw();
}

function onHealth({ database, redis }) {
  onState(database !== "healthy" ? "database" : redis !== "healthy" ? "redis" : "live");
}

function onJob(update) {
  const known = state.active.get(update.id);
  if (known && known.version >= update.version) return;
  if (update.status === "processing") {
    state.active.set(update.id, { ...known, ...update });
    return;
  }
  state.active.delete(update.id);
  if (state.reading) state.over.set(update.id, update.version);
  if (ENDED.has(update.status) && update.event !== "payload_erased") {
    const took = known?.started_at && update.ended_at ? (Date.parse(update.ended_at) - Date.parse(known.started_at)) / 1000 : null;
    state.recent = [{ ...update, took }, ...state.recent].slice(0, RECENT);
  }
  if (update.event === "failed" || update.event === "retry_scheduled" || update.event === "expired") failuresSoon();
}

// Failures are grouped by the server; a storm of them is asked about every two seconds.
function failuresSoon() {
  if (failuresAt) return;
  failuresAt = setTimeout(async () => {
    failuresAt = 0;
    await readFailures().catch(() => {});
    draw();
  }, 2000);
}

async function readFailures() {
  const since = new Date(page.now() - 86_400_000).toISOString();
  state.failures = (await get(`failures?limit=50&since=${since}`)).failures;
}

async function readAll() {
  const snapshot = await get("queue/status");
  onFrame(snapshot);
  // The list is a projection: it must have reached what the feed had told before this page listened.
  const position = snapshot.position;
  const [status, running] = await Promise.all([
    get("workers/status"),
    get(`jobs?status=processing&limit=200&after_position=${position}`),
    readFailures(),
  ]);
  state.workers = status;
  const listed = new Map(running.jobs.map((job) => [job.id, job]));
  for (const [id, job] of state.active) {
    if (!listed.has(id) && job.position <= running.position) state.active.delete(id);
  }
  for (const [id, job] of listed) {
    const known = state.active.get(id);
    const over = state.over.get(id) ?? 0;
    if (job.version > over) state.active.set(id, known?.version > job.version ? { ...job, ...known } : job);
  }
  state.over.clear();
}

async function refresh() {
  if (state.reading) return;
  state.reading = true;
  try {
    await readAll();
  } catch (error) {
    page.report(error);
  }
  state.reading = false;
  draw();
}

function teach() {
  const address = new URL(".", location.href).href.replace(/\/$/, "");
  const curl = `curl ${address}/queue/default/jobs \\\n  -H "Authorization: Bearer $HIVELOG_ADMIN_TOKEN" \\\n  -d '{"type": "hello", "payload": {"name": "Ann"}}'`;
  const shell = `hivelog enqueue default hello '{"name": "Ann"}'`;
  byId("active-empty").replaceChildren(el("p", {}, "Nothing is running. Enqueue a job:"), command(shell), command(curl));
  byId("workers-empty").replaceChildren(
    el("p", {}, "No worker is alive, so jobs wait. Start one:"),
    command("hivelog worker --handlers your_module --queue default --concurrency 10"),
  );
}

function command(line) {
  const copy = el("button", {
    type: "button",
    class: "quiet copy",
    onclick: async () => {
      await navigator.clipboard?.writeText(line);
      text(copy, "Copied");
      setTimeout(() => text(copy, "Copy"), 1500);
    },
  }, "Copy");
  return el("div", { class: "command" }, el("pre", {}, line), copy);
}

function onState(kind) {
  const [label, style] = STATES[kind];
  const pill = byId("connection");
  pill.className = `pill ${style}`;
  text(pill.lastChild, label);
  document.body.classList.toggle("stale", kind === "lost" || kind === "database");
}

byId("logout").addEventListener("click", async () => {
  await post("logout").catch(() => {});
  location.reload();
});

const me = await get("me");
state.scopes = new Set(me.scopes);
if (state.scopes.has("admin")) for (const scope of ["read", "produce", "operate"]) state.scopes.add(scope);
cards = queueCards(byId("queues"), page);
active = activeJobs(page);
recent = recentJobs(page);
failures = failureGroups(page);
workers = workerRows(page);
teach();
follow({ onFrame, onState, onReset: refresh });
setInterval(() => active.tick(), 1000);
setInterval(() => (cards.sample(state.queues), draw()), 2000);
// A lost frame, a job that another process ended in a gap: the list corrects itself.
setInterval(() => document.hidden || refresh(), 30_000);
