// The workers, a line each.

import { html } from "../../view.js";
import { mebibytes, number } from "../../data/format.js";
import { at, href } from "../../frame/router.js";
import { useHeld } from "../../parts/held.js";
import { Command, Empty, Skeleton } from "../../parts/states.js";
import { Meter, Time } from "../../parts/values.js";

const SHOWN = 10;

export function Crew({ status }) {
  const [shown, list] = useHeld(status?.workers ?? null);
  return html`<section class="panel" aria-labelledby="crew-title">
    <header><h2 id="crew-title">Workers</h2><span class="count">${number(status?.total ?? 0)}</span>
      <div class="actions"><a class="button" href=${href("/workers")}>Manage</a></div></header>
    ${shown === null && html`<${Skeleton} rows=${3} height=${48} />`}
    <ul class="rows" ref=${list}>${(shown ?? []).slice(0, SHOWN).map((worker) => html`<${Row} key=${worker.session} worker=${worker} />`)}</ul>
    ${shown?.length === 0 && html`<${Nobody} />`}
    ${shown?.length > SHOWN && html`<p class="rows-more">and ${number(shown.length - SHOWN)} more</p>`}
  </section>`;
}

export function Nobody() {
  if (at.value) return html`<${Empty} title="No worker was alive at that moment" icon="workers" />`;
  return html`<${Empty} title="No worker is alive" icon="workers"><p>Jobs wait until one is. Start one:</p>
    <${Command} line="hivelog worker --handlers your_module --queue default --concurrency 10" /><//>`;
}

function Row({ worker }) {
  const said = `${number(worker.busy)} of ${number(worker.slots)} slots busy`;
  return html`<li class="row crew-row">
    <i class=${`dot ${worker.stale ? "bad" : "good"}`} title=${worker.stale ? "Silent for too long" : "Alive"} />
    <div class="what"><b title=${worker.name}>${worker.name}</b><span class="dim">${worker.queues.join(", ")}</span></div>
    <${Meter} share=${worker.busy / worker.slots} label=${said} /><span class="right" title=${said}>${number(worker.busy)}/${number(worker.slots)}</span>
    <span class="dim right">${worker.stale ? html`heard <${Time} of=${worker.last_heartbeat} />` : mebibytes(worker.memory_mib)}</span></li>`;
}
