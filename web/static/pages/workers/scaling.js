// How many worker processes each queue has and is to have, on all supervised hosts together.

import { html } from "../../view.js";
import { post } from "../../data/api.js";
import { number, plural } from "../../data/format.js";
import { may } from "../../data/me.js";
import { at } from "../../frame/router.js";
import { failed, toast } from "../../frame/toasts.js";
import { Icon } from "../../parts/icon.js";
import { Command } from "../../parts/states.js";
import { QueueLink } from "../../parts/values.js";

async function ask(path, body) {
  try {
    toast({ text: `${(await post(path, body)).message}.` });
  } catch (error) {
    failed(error);
  }
}

// In the past nobody knows what supervisors kept: the log tells only how many there were to be.
export function Scaling({ rows, supervisors }) {
  const hosts = new Set(supervisors.map(({ host }) => host));
  return html`<section class="panel" aria-labelledby="scaling-title">
    <header><h2 id="scaling-title">Worker processes by queue</h2><span class="dim">${supervisors.length
      ? `kept by ${plural(supervisors.length, "supervisor")} on ${plural(hosts.size, "host")}` : ""}</span></header>
    ${!supervisors.length && !at.value && html`<div class="panel-note"><p>No supervisor runs, so nothing here starts or stops by itself. On each host:</p>
      <${Command} line="hivelog supervise --handlers your_module" /></div>`}
    <table class="table cards"><thead><tr><th>Queue</th><th class="right">Run</th><th class="right">Wanted</th><th>By</th><th>Bounds</th><th><span class="sr">Change</span></th></tr></thead>
      <tbody>${rows.map((row) => html`<${Row} key=${row.queue} row=${row} />`)}</tbody></table>
    ${supervisors.length > 0 && rows.some(({ running, desired }) => running < desired) && html`<${Fewer} />`}</section>`;
}

function Fewer() {
  return html`<div class="panel-note fewer"><p>Where fewer run than are wanted, they are being started, no supervisor serves the queue, or hosts may run no
    more: see <code>--queue</code>, <code>--max-processes</code> and <code>--max-memory</code> of <code>hivelog supervise</code>.</p></div>`;
}

function Row({ row }) {
  const { queue } = row;
  return html`<tr data-queue=${queue}><td class="wide"><${QueueLink} name=${queue} /></td>
    <td data-label="Run" class="right">${number(row.running)}</td>
    <td data-label="Wanted" class="right"><b>${number(row.desired)}</b></td>
    <td data-label="By" class="nowrap">${row.pinned ? html`<span class="badge info">by hand</span>` : "itself"} <span class="dim">${row.reason ?? ""}</span></td>
    <td data-label="Bounds" class="nowrap dim">${row.min} to ${row.max}</td>
    <td class="right wide"><${Buttons} row=${row} /></td></tr>`;
}

function Buttons({ row }) {
  if (!may("operate")) return null;
  const { queue, desired } = row;
  return html`<div class="stepper" role="group" aria-label=${`Worker processes of ${queue}`}>
    <button type="button" class="icon-button" aria-label=${`One fewer for ${queue}`} title="One fewer" disabled=${desired <= 0} onClick=${() => ask("workers/stop", { queue })}><${Icon} name="minus" size=${16} /></button>
    <button type="button" class="icon-button" aria-label=${`One more for ${queue}`} title="One more" onClick=${() => ask("workers/start", { queue })}><${Icon} name="plus" size=${16} /></button>
    <button type="button" class="quiet" disabled=${!row.pinned} onClick=${() => ask("workers/scale", { queue, workers: "auto" })}>Let it scale</button></div>`;
}
