// A card a queue: what waits, what runs, how well it goes, and what can be done about it.

import { html, useState } from "../../view.js";
import { duration, number, percent, plural } from "../../data/format.js";
import { may } from "../../data/me.js";
import { useSeries } from "../../data/series.js";
import { QueueActions, queueState } from "../../parts/queue-actions.js";
import { Sparkline } from "../../parts/sparkline.js";
import { Command, Empty, Skeleton } from "../../parts/states.js";
import { Meter, QueueLink } from "../../parts/values.js";

const MANY = 8;

export function Cards({ queues }) {
  const [wanted, setWanted] = useState("");
  const past = useSeries("1h", { group: "queue" });
  const lines = Object.fromEntries((past.data?.series ?? []).map((of) => [of.queue, of.completed]));
  const all = Object.entries(queues ?? {});
  const shown = all.filter(([name]) => name.includes(wanted.trim()));
  return html`<section aria-labelledby="queues-title" class="stack">
    <header class="page-head"><h2 id="queues-title">Queues <span class="count">${number(all.length)}</span></h2>
      ${all.length > MANY && html`<div class="actions"><input type="search" aria-label="Filter queues" placeholder="Filter queues" value=${wanted}
        onInput=${(event) => setWanted(event.target.value)} /></div>`}</header>
    ${queues === null && html`<div class="queue-cards">${[1, 2, 3, 4].map((n) => html`<div key=${n} class="panel card"><${Skeleton} rows=${5} height=${46} /></div>`)}</div>`}
    ${queues !== null && !all.length && html`<${NoQueues} />`}
    <div class="queue-cards">${shown.map(([name, stats]) => html`<${Card} key=${name} name=${name} stats=${stats} line=${lines[name]} />`)}</div>
  </section>`;
}

function NoQueues() {
  return html`<div class="panel"><${Empty} title="You see no queue" icon="queue">
    <p>${may("admin") ? "Make one; jobs are enqueued into queues." : "None is there, or your role is limited to queues that are gone."}</p>
    ${may("admin") && html`<${Command} line="hivelog queues set reports max_workers=3" />`}<//></div>`;
}

function Card({ name, stats, line }) {
  const [state, tone] = queueState(stats);
  const served = stats.workers
    ? `${number(stats.processing)} of ${number(stats.capacity)} at once, ${plural(stats.workers, "worker")}`
    : stats.queued ? "No worker serves this queue" : "No worker";
  return html`<article class="panel card" data-queue=${name}>
    <header><h3><${QueueLink} name=${name} /></h3><span class=${`badge ${tone}`}>${state}</span></header>
    <dl class="card-figures">
      <div><dt>Pending</dt><dd>${number(stats.depth)}</dd></div>
      <div><dt>Processing</dt><dd>${number(stats.processing)}</dd></div>
      <div><dt>Completed today</dt><dd>${number(stats.completed_today)}</dd></div>
      <div><dt>Success rate</dt><dd>${percent(stats.success_rate)}</dd></div>
    </dl>
    <${Sparkline} values=${line} height=${28} />
    <p class="card-line"><span>${number(stats.per_minute)} a minute</span><span>p95 ${duration(stats.p95)}</span>
      <span>${stats.oldest_waiting_seconds == null ? "none waits" : `oldest ${duration(stats.oldest_waiting_seconds)}`}</span></p>
    <div class="card-load"><${Meter} share=${stats.utilization} label=${served} /><span>${served}</span></div>
    <${QueueActions} name=${name} stats=${stats} />
  </article>`;
}
