// The queue's newest jobs, by state.

import { html } from "../../view.js";
import { useCounts } from "../../data/counts.js";
import { number } from "../../data/format.js";
import { useData, useListener } from "../../data/use.js";
import { onJobs } from "../../data/live.js";
import { useRef, useState } from "../../view.js";
import { href } from "../../frame/router.js";
import { Export } from "../../parts/export.js";
import { Command, Empty, Loading } from "../../parts/states.js";
import { JobLink, Status, Time } from "../../parts/values.js";

const NAMES = { all: "All", queued: "Ready", pending: "For later", processing: "Running", completed: "Completed", failed: "Failed", cancelled: "Cancelled", expired: "Expired" };
const LIVE = ["queued", "pending", "processing"]; // counted exactly by the statistics, and at once

// Finished ones are counted up to a bound.
function useCounted(name, stats) {
  const counted = useCounts({ queue: name });
  return (state) => (LIVE.includes(state) && stats ? number(stats[state]) : counted(state));
}

export function QueueJobs({ name, stats, state }) {
  const path = `/queue/${encodeURIComponent(name)}`;
  const found = useData(`queue/${encodeURIComponent(name)}/jobs`, { status: state, limit: 50 }, { reset: true });
  const counted = useCounted(name, stats);
  const [waiting, setWaiting] = useState(0);
  const seen = useRef(new Set());
  useListener(onJobs, (updates) => {
    for (const update of updates) if (update.queue === name && (state === "all" || update.status === state)) seen.current.add(update.id);
    setWaiting(seen.current.size);
  });
  const renew = () => (seen.current.clear(), setWaiting(0), found.reload());
  return html`<section class="panel">
    <nav class="tabs inner" aria-label="State">${Object.keys(NAMES).map((key) => html`<a key=${key} data-state=${key}
      href=${href(path, key === "all" ? {} : { state: key })} aria-current=${state === key ? "page" : null}>${NAMES[key]}<span class="count">${counted(key) ?? ""}</span></a>`)}</nav>
    <div class="list-bar"><button type="button" class="renew" disabled=${!waiting} onClick=${renew}>${waiting ? `Show ${number(waiting)} changed` : "Up to date"}</button>
      <a class="button" href=${href("/jobs", { queue: name, status: state === "all" ? null : state })}>Search these</a>
      <${Export} path=${`queue/${encodeURIComponent(name)}/jobs`} query=${() => ({ status: state })} past /></div>
    <${Loading} of=${found} rows=${10}>${({ jobs }) => (jobs.length ? html`<${Table} jobs=${jobs} />` : html`<${None} name=${name} state=${state} />`)}<//>
  </section>`;
}

function None({ name, state }) {
  if (state !== "all") return html`<${Empty} title=${`No job is ${NAMES[state].toLowerCase()}`} icon="inbox"><p>Jobs of ${name} in this state are shown here, newest first.</p><//>`;
  return html`<${Empty} title="This queue has had no job yet" icon="inbox"><p>Enqueue the first:</p><${Command} line=${`hivelog enqueue ${name} hello '{"name": "Ann"}'`} /><//>`;
}

function Table({ jobs }) {
  return html`<table class="table cards"><thead><tr><th>Job</th><th>State</th><th>Said</th><th>Created</th><th class="right">Priority</th><th class="right">Retries</th></tr></thead>
    <tbody>${jobs.map((job) => html`<tr key=${job.id}>
      <td class="wide"><b>${job.type}</b> <${JobLink} id=${job.id} /></td>
      <td data-label="State"><${Status} of=${job.status} cancelling=${job.cancelling} /></td>
      <td class="clip dim">${(job.error ?? job.progress_message ?? "").trim().split("\n").at(-1)}</td>
      <td data-label="Created" class="nowrap"><${Time} of=${job.metadata.created_at} /></td>
      <td data-label="Priority" class="right">${job.metadata.priority}</td>
      <td data-label="Retries" class="right">${job.metadata.current_retry} of ${job.metadata.max_retries}</td></tr>`)}</tbody></table>`;
}
