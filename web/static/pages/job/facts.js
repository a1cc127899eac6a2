// What a job is, in pairs.

import { html } from "../../view.js";
import { duration } from "../../data/format.js";
import { href } from "../../frame/router.js";
import { Meter, Time } from "../../parts/values.js";

const jobs = (query, text) => html`<a href=${href("/jobs", query)}>${text}</a>`;

export function Facts({ job }) {
  const { metadata } = job;
  const facts = [
    ["Progress", job.progress != null && job.status === "processing" && html`<span class="progress"><${Meter} share=${job.progress / 100} label=${`${Math.round(job.progress)}%`} />
      <b>${Math.round(job.progress)}%</b></span> ${job.progress_message}`],
    ["Created", html`<${Time} of=${metadata.created_at} />`],
    ["Due", job.status === "pending" && metadata.scheduled_for && html`<${Time} of=${metadata.scheduled_for} />`],
    ["Started", job.started_at && html`<${Time} of=${job.started_at} />`],
    ["Ended", job.ended_at && html`<${Time} of=${job.ended_at} />`],
    ["Attempt", `${job.attempt} of ${metadata.max_retries + 1}`],
    ["Worker", job.worker_id && jobs({ worker: job.worker_id }, job.worker_id)],
    ["Priority", metadata.priority],
    ["Retry after", metadata.max_retries ? `${duration(metadata.retry_delay)}, ${metadata.retry_backoff}` : null],
    ["Timeout", metadata.timeout && duration(metadata.timeout)],
    ["Expires", metadata.expires_at && html`<${Time} of=${metadata.expires_at} />`],
    ["Source", metadata.source && jobs({ source: metadata.source }, metadata.source)],
    ["Correlation id", metadata.correlation_id && jobs({ correlation_id: metadata.correlation_id }, metadata.correlation_id)],
    ["Parent", metadata.parent_id && html`<a href=${href(`/job/${metadata.parent_id}`)}>${metadata.parent_id.slice(-8)}</a>`],
    ["Tags", metadata.tags?.length > 0 && metadata.tags.map((tag) => html`<a class="tag" key=${tag} href=${href("/jobs", { tag })}>${tag}</a> `)],
    ["Version", job.version],
  ];
  return html`<section class="panel" aria-label="Facts"><dl class="facts">
    ${facts.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "")
      .map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl></section>`;
}
