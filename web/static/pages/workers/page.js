// Who works: processes by host, what each runs and for how long, and how many there are to be.

import { html, useState } from "../../view.js";
import { live } from "../../data/live.js";
import { number, percent, plural } from "../../data/format.js";
import { sum } from "../../data/series.js";
import { Skeleton } from "../../parts/states.js";
import { Nobody } from "../overview/crew.js";
import { Export } from "../../parts/export.js";
import { Crashes } from "./crashes.js";
import { Host } from "./host.js";
import { Scaling } from "./scaling.js";

const MANY = 6;

const fits = (worker, wanted) => [worker.name, worker.host, worker.session, ...worker.queues].some((text) => text.includes(wanted));

function byHost(workers) {
  const hosts = new Map();
  for (const worker of workers) hosts.set(worker.host, [...(hosts.get(worker.host) ?? []), worker]);
  return [...hosts].sort(([a], [b]) => a.localeCompare(b));
}

export default function Workers() {
  const [wanted, setWanted] = useState("");
  const status = live.workers.value;
  if (!status) return html`<div class="page-head"><h1>Workers</h1></div><div class="panel"><${Skeleton} rows=${6} /></div>`;
  const shown = status.workers.filter((worker) => fits(worker, wanted.trim()));
  return html`<div class="page-head"><h1>Workers</h1><span class="dim">${summary(status)}</span>
      <div class="actions">${status.total > MANY && html`<input type="search" data-search aria-label="Filter by name, host or queue" placeholder="Name, host or queue"
        value=${wanted} onInput=${(event) => setWanted(event.target.value)} />`}
        <${Export} path="workers/status" past /></div></div>
    <${Crashes} supervisors=${status.supervisors ?? []} />
    ${!status.total && html`<div class="panel"><${Nobody} /></div>`}
    ${byHost(shown).map(([host, workers]) => html`<${Host} key=${host} name=${host} workers=${workers} supervisors=${status.supervisors ?? []} />`)}
    ${status.scaling.length > 0 && html`<${Scaling} rows=${status.scaling} supervisors=${status.supervisors ?? []} />`}`;
}

function summary({ workers, active, total }) {
  const slots = sum(workers.map((worker) => worker.slots));
  const busy = sum(workers.map((worker) => worker.busy));
  const silent = total - active;
  return [
    plural(total, "process", "processes"), plural(slots, "slot"), slots ? `${percent((100 * busy) / slots)} busy` : null,
    silent ? `${number(silent)} silent` : null,
  ].filter(Boolean).join(", ");
}
