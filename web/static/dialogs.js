// Questions, and one job in full.

import { get, post } from "./api.js";
import { el, show, text } from "./dom.js";
import { clock, duration, moment, shortId } from "./format.js";

const byId = (id) => document.getElementById(id);

export function confirm({ title, text: said, yes, no }) {
  const dialog = byId("confirm");
  text(byId("confirm-title"), title);
  text(byId("confirm-text"), said);
  text(byId("confirm-yes"), yes ?? "");
  show(byId("confirm-yes"), Boolean(yes));
  text(dialog.querySelector("[value=no]"), no ?? "Cancel");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

export async function showJob(id, { may, report }) {
  try {
    const { job, events } = await get(`job/${id}/history`);
    const dialog = byId("job");
    byId("job-title").replaceChildren(job.type, " ", el("code", { title: job.id }, shortId(job.id)));
    byId("job-body").replaceChildren(...body(job, events, { may, report, again: () => showJob(id, { may, report }) }));
    if (!dialog.open) dialog.showModal();
  } catch (error) {
    report(error);
  }
}

function body(job, events, { may, report, again }) {
  const act = (label, path, kind) =>
    el(
      "button",
      {
        type: "button",
        class: kind,
        onclick: async ({ target }) => {
          target.disabled = true;
          try {
            await post(`job/${job.id}/${path}`);
            await again();
          } catch (error) {
            report(error);
          }
        },
      },
      label,
    );
  const live = ["pending", "queued", "processing"].includes(job.status);
  const actions = el(
    "div",
    { class: "buttons" },
    live && !job.cancelling ? act("Cancel job", "cancel", "danger-quiet") : null,
    ["failed", "expired", "cancelled"].includes(job.status) ? act("Run again", "retry", "primary") : null,
  );
  const fact = (label, value) => (value == null || value === "" ? null : el("div", {}, el("dt", {}, label), el("dd", {}, value)));
  const { metadata } = job;
  return [
    el(
      "dl",
      { class: "facts" },
      fact("Status", el("span", { class: `status ${job.status}` }, job.cancelling ? "cancelling" : job.status)),
      fact("Queue", job.queue),
      fact("Id", el("code", {}, job.id)),
      fact("Priority", metadata.priority),
      fact("Retries", `${metadata.current_retry} of ${metadata.max_retries}`),
      fact("Worker", job.worker_id),
      fact("Created", moment(metadata.created_at)),
      fact("Scheduled for", metadata.scheduled_for && moment(metadata.scheduled_for)),
      fact("Tags", metadata.tags.join(", ")),
    ),
    may("operate") && actions.children.length ? actions : null,
    job.error ? block("Error", job.error, "bad") : null,
    block("Payload", JSON.stringify(job.payload, null, 2)),
    job.result == null ? null : block("Result", JSON.stringify(job.result, null, 2)),
    el("h4", {}, "History"),
    el("ol", { class: "timeline" }, ...events.map((event, n) => step(event, events[n - 1]))),
  ].filter(Boolean);
}

function block(title, content, kind = "") {
  return el("section", {}, el("h4", {}, title), el("pre", { class: kind, tabindex: "0" }, content));
}

function step(event, before) {
  const waited = before ? (Date.parse(event.recorded_at) - Date.parse(before.recorded_at)) / 1000 : null;
  const said = event.error?.trim().split("\n").at(-1) ?? event.message ?? event.reason ?? event.data.cause ?? "";
  return el(
    "li",
    { class: event.type },
    el("time", { datetime: event.recorded_at, title: event.recorded_at }, clock(event.recorded_at)),
    el("b", {}, event.type.replaceAll("_", " ")),
    el("span", { class: "who" }, event.actor.replace(/^(worker:.*):.*$/, "$1")),
    waited == null ? null : el("span", { class: "waited" }, `+${duration(waited)}`),
    said ? el("p", {}, event.data.percent != null ? `${event.data.percent}% ${said}` : said) : null,
  );
}
