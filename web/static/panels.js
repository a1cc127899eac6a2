// Active jobs, what just ended, failures, workers.

import { post } from "./api.js";
import { showJob } from "./dialogs.js";
import { Rows, el, show, text, width } from "./dom.js";
import { ago, clock, duration, number, plural, shortId } from "./format.js";

const byId = (id) => document.getElementById(id);
const SHOWN = 100;

function jobLink(id, page) {
  return el("button", { type: "button", class: "id", title: id, onclick: () => showJob(id, page) }, shortId(id));
}

export function activeJobs(page) {
  const rows = new Rows(byId("active"), {
    key: (job) => job.id,
    make(job) {
      const parts = {};
      const row = el(
        "div",
        { class: "row job" },
        el("div", { class: "what" }, el("b", {}, job.type), jobLink(job.id, page), el("span", { class: "where" }, job.queue), (parts.worker = el("span", { class: "where" }))),
        el("div", { class: "progress" }, el("div", { class: "track" }, (parts.fill = el("i"))), (parts.percent = el("span", { class: "number" }))),
        (parts.message = el("div", { class: "said" })),
        el("div", { class: "when" }, (parts.since = el("span")), (parts.took = el("span", { class: "number" }))),
        (parts.cancel = el("button", { type: "button", class: "danger-quiet", onclick: () => cancel(row, job.id, page) }, "Cancel")),
      );
      row.parts = parts;
      show(parts.cancel, page.may("operate"));
      return row;
    },
    update(row, job) {
      const { parts } = row;
      row.job = job;
      width(parts.fill, job.progress);
      parts.fill.parentNode.classList.toggle("unknown", job.progress == null);
      text(parts.percent, job.progress == null ? "" : `${Math.round(job.progress)}%`);
      text(parts.message, job.progress_message);
      text(parts.worker, job.worker_id ?? "");
      text(parts.since, job.started_at ? `since ${clock(job.started_at)}` : "");
      text(parts.cancel, job.cancelling ? "Cancelling…" : "Cancel");
      parts.cancel.disabled = Boolean(job.cancelling);
      tickOne(row);
    },
    gone(row) {
      row.classList.add("gone");
      row.parts.cancel.disabled = true;
    },
  });
  const tickOne = (row) => {
    const since = Date.parse(row.job.started_at);
    text(row.parts.took, since ? duration(Math.max(0, (page.now() - since) / 1000)) : "–");
  };

  return {
    set(jobs) {
      const sorted = [...jobs].sort((a, b) => (a.started_at < b.started_at ? -1 : 1));
      rows.set(sorted.slice(0, SHOWN));
      text(byId("active-count"), number(jobs.length));
      show(byId("active-empty"), !jobs.length && !byId("active").children.length);
    },
    tick() {
      for (const row of rows.rows.values()) if (!row.classList.contains("gone")) tickOne(row);
    },
  };
}

async function cancel(row, id, page) {
  row.parts.cancel.disabled = true;
  try {
    await post(`job/${id}/cancel`);
    text(row.parts.cancel, "Cancelling…");
  } catch (error) {
    row.parts.cancel.disabled = false;
    page.report(error);
  }
}

export function recentJobs(page) {
  const rows = new Rows(byId("recent"), {
    key: (job) => `${job.id}-${job.version}`,
    make: (job) =>
      el(
        "div",
        { class: "row ended" },
        el("span", { class: `status ${job.status}` }, job.status),
        el("b", {}, job.type),
        jobLink(job.id, page),
        el("span", { class: "where" }, job.queue),
        el("span", { class: "number" }, job.took == null ? "" : duration(job.took)),
      ),
    update() {},
  });
  return {
    set(jobs) {
      rows.set(jobs);
      show(byId("recent-empty"), !jobs.length);
    },
  };
}

export function failureGroups(page) {
  const rows = new Rows(byId("failures"), {
    key: (failure) => `${failure.fingerprint} ${failure.type}`,
    make(failure) {
      const parts = {};
      const row = el(
        "div",
        { class: "row failure" },
        (parts.count = el("span", { class: "times number" })),
        el("div", { class: "error" }, (parts.error = el("code")), el("span", { class: "where" }, failure.type, " in ", (parts.queues = el("span")), " · ", (parts.seen = el("span")))),
        (parts.sample = el("button", { type: "button", class: "id", onclick: () => showJob(row.failure.sample_job, page) })),
      );
      row.parts = parts;
      return row;
    },
    update(row, failure) {
      const { parts } = row;
      row.failure = failure;
      text(parts.count, `${number(failure.count)}×`);
      text(parts.error, failure.error);
      parts.error.title = failure.error;
      text(parts.queues, failure.queues.join(", "));
      text(parts.seen, ago(failure.last_seen, page.now()));
      text(parts.sample, shortId(failure.sample_job));
      parts.sample.title = `The latest: ${failure.sample_job}`;
    },
  });
  return {
    set(failures) {
      rows.set(failures.slice(0, 12));
      show(byId("failures-empty"), !failures.length);
    },
  };
}

export function workerRows(page) {
  const rows = new Rows(byId("workers"), {
    key: (worker) => worker.session,
    make(worker) {
      const parts = {};
      const row = el(
        "div",
        { class: "row worker" },
        el("div", { class: "what" }, (parts.dot = el("i", { class: "dot" })), el("b", {}, worker.name), el("span", { class: "where", title: `session ${worker.session}` }, `${worker.host} · ${worker.pid}`)),
        el("div", { class: "capacity" }, el("div", { class: "meter" }, (parts.meter = el("i"))), (parts.busy = el("span", { class: "number" }))),
        el("div", { class: "where serves" }, worker.queues.join(", "), ` · ${plural(worker.types.length, "type")}`),
        (parts.beat = el("div", { class: "where beat" })),
      );
      row.parts = parts;
      return row;
    },
    update(row, worker) {
      const { parts } = row;
      row.classList.toggle("stale", worker.stale);
      parts.dot.className = `dot ${worker.stale ? "bad" : "good"}`;
      parts.dot.title = worker.stale ? "silent for too long" : "alive";
      width(parts.meter, (100 * worker.busy) / worker.slots);
      text(parts.busy, `${number(worker.busy)} / ${number(worker.slots)}`);
      const memory = worker.memory_mib == null ? "" : ` · ${number(worker.memory_mib)} MiB`;
      text(parts.beat, (worker.stale ? `last heard ${ago(worker.last_heartbeat, page.now())}` : `up ${duration((page.now() - Date.parse(worker.started_at)) / 1000)}`) + memory);
    },
  });
  return {
    set({ workers, total }) {
      rows.set(workers);
      text(byId("workers-count"), number(total));
      show(byId("workers-empty"), !total);
    },
  };
}
