// Queue cards: what waits, what runs, how well; pause, resume, drain.

import { post } from "./api.js";
import { confirm } from "./dialogs.js";
import { Rows, el, show, text, width } from "./dom.js";
import { duration, number, percent, plural, rate } from "./format.js";

const BIG = [
  ["Pending", (stats) => number(stats.depth)],
  ["Processing", (stats) => number(stats.processing)],
  ["Completed today", (stats) => number(stats.completed_today)],
  ["Success rate", (stats) => percent(stats.success_rate)],
];
const SMALL = [
  ["per minute", (stats) => number(stats.per_minute)],
  ["average", (stats) => duration(stats.avg_processing_time)],
  ["p95", (stats) => duration(stats.p95)],
  ["oldest waits", (stats) => (stats.oldest_waiting_seconds == null ? "–" : duration(stats.oldest_waiting_seconds))],
];
const SAMPLES = 60;

export function queueCards(host, { may, report }) {
  const past = new Map(); // name -> throughput, one sample every two seconds

  const rows = new Rows(host, {
    key: ([name]) => name,
    make: ([name]) => card(name, may, report),
    update: (node, [name, stats]) => update(node, name, stats, past.get(name) ?? []),
  });

  return {
    set(queues) {
      rows.set(Object.entries(queues));
    },
    sample(queues) {
      for (const [name, stats] of Object.entries(queues)) {
        const samples = past.get(name) ?? [];
        past.set(name, [...samples, stats.throughput].slice(-SAMPLES));
      }
    },
  };
}

function card(name, may, report) {
  const parts = { values: [], small: [] };
  const figure = (label, into) => {
    const value = el("dd");
    into.push(value);
    return el("div", {}, el("dt", {}, label), value);
  };
  const node = el(
    "article",
    { class: "queue" },
    el("header", {}, el("h3", { title: name }, name), (parts.badge = el("span", { class: "badge" }))),
    el("dl", { class: "big" }, ...BIG.map(([label]) => figure(label, parts.values))),
    (parts.spark = spark()),
    el("dl", { class: "small" }, ...SMALL.map(([label]) => figure(label, parts.small))),
    el("div", { class: "capacity" }, el("div", { class: "meter" }, (parts.meter = el("i"))), (parts.capacity = el("span"))),
    (parts.actions = el(
      "footer",
      {},
      (parts.pause = el("button", { type: "button", onclick: () => toggle(node, name, report) })),
      (parts.drain = el("button", { type: "button", class: "danger-quiet", onclick: () => drain(name, report) }, "Drain queue")),
    )),
  );
  show(parts.actions, may("operate"));
  node.parts = parts;
  return node;
}

function update(node, name, stats, samples) {
  const { parts } = node;
  node.stats = stats;
  node.classList.toggle("paused", stats.paused);
  BIG.forEach(([, of], n) => text(parts.values[n], of(stats)));
  SMALL.forEach(([, of], n) => text(parts.small[n], of(stats)));
  const [badge, kind] = state(stats);
  text(parts.badge, badge);
  parts.badge.className = `badge ${kind}`;
  text(parts.pause, stats.paused ? "Resume" : "Pause");
  width(parts.meter, 100 * (stats.utilization ?? 0));
  const served = `${number(stats.processing)} of ${number(stats.capacity)} at once · ${plural(stats.workers, "worker")}`;
  text(parts.capacity, stats.workers ? served : stats.queued ? "No worker serves this queue" : "No worker");
  draw(parts.spark, samples);
}

function state(stats) {
  if (stats.paused) return ["Paused", "warn"];
  if (stats.queued && !stats.workers) return ["No workers", "bad"];
  return stats.processing ? ["Working", "good"] : ["Idle", "calm"];
}

function spark() {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 300 36");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const kind of ["area", "line"]) {
    const path = document.createElementNS(ns, "path");
    path.setAttribute("class", kind);
    svg.append(path);
  }
  return svg;
}

function draw(svg, samples) {
  const top = Math.max(...samples, 1);
  const x = (n) => 300 - (samples.length - 1 - n) * (300 / (SAMPLES - 1));
  const points = samples.map((value, n) => `${x(n).toFixed(1)},${(33 - (30 * value) / top).toFixed(1)}`);
  const line = points.length > 1 ? `M${points.join("L")}` : "";
  const [area, stroke] = svg.children;
  stroke.setAttribute("d", line);
  area.setAttribute("d", line ? `${line}L300,36L${x(0).toFixed(1)},36Z` : "");
}

async function toggle(node, name, report) {
  const paused = node.stats.paused;
  node.parts.pause.disabled = true;
  try {
    await post(`queue/${name}/${paused ? "resume" : "pause"}`);
    update(node, name, { ...node.stats, paused: !paused }, []);
  } catch (error) {
    report(error);
  }
  node.parts.pause.disabled = false;
}

async function drain(name, report) {
  try {
    // The number in the question is the number that the answer acts on: the position ties them.
    const { matched, position } = await post(`queue/${name}/drain`, { dry_run: true });
    if (!matched) {
      await confirm({ title: `Nothing waits in ${name}`, text: "There is no job to cancel.", no: "Close" });
      return;
    }
    const jobs = plural(matched, "waiting job");
    const agreed = await confirm({
      title: `Cancel ${jobs} in ${name}?`,
      text: "Scheduled jobs and jobs between retries are among them. Jobs that run go on. Cancelled jobs stay in the history and can be retried.",
      yes: `Cancel ${jobs}`,
      no: matched === 1 ? "Keep it" : "Keep them",
    });
    if (agreed) await post(`queue/${name}/drain`, { position });
  } catch (error) {
    report(error);
  }
}
