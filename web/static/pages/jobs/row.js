// One job in the list: a row of cells, or on a phone a card of the same cells.

import { html } from "../../view.js";
import { duration, shortId } from "../../data/format.js";
import { href } from "../../frame/router.js";
import { Meter, QueueLink, Since, Status, Time, withheld } from "../../parts/values.js";

const SNIPPET = 160;

export function Row({ job, columns, top, place, chooses, chosen, current, toggle }) {
  const flip = (event) => toggle(job.id, event.shiftKey);
  return html`<div class=${`jobs-row ${current ? "current" : ""} ${chosen ? "chosen" : ""}`} role="row" aria-rowindex=${place + 2}
      style=${{ transform: `translateY(${top}px)` }} data-job=${job.id}>
    ${chooses && html`<span role="cell" class="choose"><input type="checkbox" aria-label=${`Choose job ${shortId(job.id)}`} checked=${chosen} onClick=${flip} /></span>`}
    <span role="cell" class="cell type"><a href=${href(`/job/${job.id}`)}>${job.type}</a></span>
    ${columns.map(({ name, wide, number }) => html`<span role="cell" key=${name} class=${`cell ${name} ${wide ? "wide" : ""} ${number ? "number" : ""}`}>${CELLS[name](job)}</span>`)}
  </div>`;
}

const CELLS = {
  id: (job) => html`<code title=${job.id}>${shortId(job.id)}</code>`,
  queue: (job) => html`<${QueueLink} name=${job.queue} />`,
  state: (job) => html`<${Status} of=${job.status} cancelling=${job.cancelling} />`,
  payload: (job) => (job.payload === null && withheld(job) ? html`<span class="dim" title=${withheld(job)}>${withheld(job)}</span>` : html`<code class="dim">${snippet(job.payload)}</code>`),
  error: (job) => html`<code class="dim">${lastLine(job.error)}</code>`,
  progress: (job) => job.status === "processing" && job.progress != null &&
    html`<${Meter} share=${job.progress / 100} label=${`${Math.round(job.progress)}%`} /><span>${Math.round(job.progress)}%</span>`,
  attempt: (job) => (job.attempt ? `${job.attempt} of ${(job.metadata.max_retries ?? 0) + 1}` : ""),
  priority: (job) => job.metadata.priority,
  worker: (job) => job.worker_id,
  tags: (job) => job.metadata.tags?.map((tag) => html`<span class="tag" key=${tag}>${tag}</span>`),
  source: (job) => job.metadata.source,
  correlation: (job) => job.metadata.correlation_id,
  created: (job) => html`<${Time} of=${job.metadata.created_at} />`,
  started: (job) => html`<${Time} of=${job.started_at} />`,
  took: (job) => took(job),
};

function took(job) {
  if (job.status === "processing") return html`<${Since} of=${job.started_at} />`;
  if (!job.started_at || !job.ended_at) return "";
  return duration(Math.max(0, Date.parse(job.ended_at) - Date.parse(job.started_at)) / 1000);
}

export function snippet(payload) {
  if (payload === undefined || payload === null) return "";
  const text = JSON.stringify(payload);
  return text.length > SNIPPET ? `${text.slice(0, SNIPPET)}…` : text;
}

// Of a trace, the line that says what went wrong.
export const lastLine = (text) => (text ?? "").trim().split("\n").at(-1).slice(0, SNIPPET);
