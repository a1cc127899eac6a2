// One host's worker processes.

import { html } from "../../view.js";
import { post } from "../../data/api.js";
import { mebibytes, number, plural } from "../../data/format.js";
import { may } from "../../data/me.js";
import { sum } from "../../data/series.js";
import { confirm } from "../../frame/dialog.js";
import { failed, toast } from "../../frame/toasts.js";
import { useHeld } from "../../parts/held.js";
import { Icon } from "../../parts/icon.js";
import { JobLink, Meter, QueueLink, Since, Time } from "../../parts/values.js";

const RUNS = 5; // jobs shown of a worker

// Only a process that a supervisor keeps can be stopped from here.
export const supervised = (worker, supervisors) =>
  supervisors.some(({ host, processes }) => host === worker.host && Object.values(processes).some((pids) => pids.includes(worker.pid)));

export function Host({ name, workers, supervisors }) {
  const [shown, list] = useHeld(workers);
  return html`<section class="panel" aria-label=${`Host ${name}`}>
    <header><${Icon} name="host" /><h2>${name}</h2><span class="count">${plural(workers.length, "process", "processes")}</span>
      <span class="dim actions">${number(sum(workers.map((one) => one.busy)))} of ${number(sum(workers.map((one) => one.slots)))} slots${memory(workers)}</span></header>
    <table class="table cards" ref=${list}><thead><tr><th>Process</th><th>Queues</th><th class="slots">Slots</th><th>Runs</th><th class="right">Memory</th>
      <th>Heartbeat</th><th>Up</th><th><span class="sr">Stop</span></th></tr></thead>
      <tbody>${shown.map((worker) => html`<${Row} key=${worker.session} worker=${worker} canStop=${may("operate") && supervised(worker, supervisors)} />`)}</tbody></table>
  </section>`;
}

// Of those that told it: in the past nobody does.
function memory(workers) {
  const told = workers.map((one) => one.memory_mib).filter((mib) => mib != null);
  return told.length ? `, ${mebibytes(sum(told))}` : "";
}

function Row({ worker, canStop }) {
  const said = `${number(worker.busy)} of ${number(worker.slots)} slots busy`;
  return html`<tr class=${worker.stale ? "stale" : ""} data-session=${worker.session}>
    <td class="wide nowrap"><i class=${`dot ${worker.stale ? "bad" : "good"}`} /> <b title=${`Session ${worker.session}`}>${worker.name}</b> <span class="dim">${worker.pid}</span>
      ${worker.stale && html` <span class="badge bad">Silent</span>`}${worker.loop_blocked > 0 && html` <span class="badge warn" title="Times its event loop stood still">Loop blocked ${number(worker.loop_blocked)}×</span>`}</td>
    <td data-label="Queues"><span title=${`Runs: ${worker.types.join(", ")}`}>${worker.queues.map((name, n) => html`${n ? ", " : ""}<${QueueLink} key=${name} name=${name} />`)}</span></td>
    <td data-label="Slots" class="slots"><${Meter} share=${worker.busy / worker.slots} label=${said} /> <span title=${said}>${number(worker.busy)}/${number(worker.slots)}</span></td>
    <td data-label="Runs" class="wide"><${Runs} jobs=${worker.jobs} busy=${worker.busy} /></td>
    <td data-label="Memory" class="right">${mebibytes(worker.memory_mib)}</td>
    <td data-label="Heartbeat" class="nowrap"><${Time} of=${worker.last_heartbeat} /></td>
    <td data-label="Up" class="nowrap"><${Since} of=${worker.started_at} /></td>
    <td class="right">${canStop && html`<button type="button" class="quiet bad" onClick=${() => stop(worker)}>Stop</button>`}</td></tr>`;
}

function Runs({ jobs, busy }) {
  if (!jobs.length) return html`<span class="dim">nothing</span>`;
  return html`<ul class="runs">${jobs.slice(0, RUNS).map((job) => html`<li key=${job.id}><span>${job.type}</span> <${JobLink} id=${job.id} /> <span class="dim"><${Since} of=${job.started_at} /></span></li>`)}
    ${busy > RUNS && html`<li class="dim">and ${number(busy - RUNS)} more</li>`}</ul>`;
}

function ends({ busy }) {
  if (!busy) return "It runs nothing, and ends at once.";
  return `It takes no new job, and ends when the ${plural(busy, "job")} it runs ${busy === 1 ? "is" : "are"} done.`;
}

async function stop(worker) {
  const said = await confirm({
    title: `Stop ${worker.name}?`, yes: "Stop process", no: "Keep it", danger: true,
    text: `${ends(worker)} Its queue then keeps one process fewer.`,
  });
  if (!said) return;
  try {
    toast({ text: (await post("workers/stop", { session: worker.session })).message });
  } catch (error) {
    failed(error);
  }
}
