// What runs now: progress, since when, and a way to stop it.

import { html, useState } from "../../view.js";
import { active } from "../../data/active.js";
import { post } from "../../data/api.js";
import { number } from "../../data/format.js";
import { may } from "../../data/me.js";
import { at, href } from "../../frame/router.js";
import { failed } from "../../frame/toasts.js";
import { useHeld } from "../../parts/held.js";
import { Command, Empty, Skeleton } from "../../parts/states.js";
import { JobLink, Meter, QueueLink, Since } from "../../parts/values.js";

const SHOWN = 30;

export function Active() {
  const [jobs, list, newer] = useHeld(active.value);
  const total = active.value?.length ?? 0;
  return html`<section class="panel" aria-labelledby="active-title">
    <header><h2 id="active-title">Active jobs</h2><span class="count">${number(total)}</span>
      <span class="held-note" hidden=${!newer}>held while you are here</span>
      <div class="actions"><a class="button" href=${href("/jobs", { status: "processing" })}>All that run</a></div></header>
    ${jobs === null ? html`<${Skeleton} rows=${6} height=${52} />` : ""}
    <ul class="rows" ref=${list}>${(jobs ?? []).slice(0, SHOWN).map((job) => html`<${Row} key=${job.id} job=${job} />`)}</ul>
    ${jobs?.length === 0 && html`<${Nothing} />`}
    ${jobs?.length > SHOWN && html`<p class="rows-more">and ${number(jobs.length - SHOWN)} more</p>`}
  </section>`;
}

function Nothing() {
  if (at.value) return html`<${Empty} title="Nothing ran at that moment" icon="inbox" />`;
  return html`<${Empty} title="Nothing runs at the moment" icon="inbox">
    <p>A job is shown here from its start to its end. This enqueues one:</p>
    <${Command} line=${`hivelog enqueue default hello '{"name": "Ann"}'`} /><//>`;
}

function Row({ job }) {
  const percent = job.progress == null ? null : Math.round(job.progress);
  return html`<li class="row active-row" data-job=${job.id}>
    <div class="what"><b title=${job.type}>${job.type}</b><${JobLink} id=${job.id} /><${QueueLink} name=${job.queue} /></div>
    <div class="said">${job.progress_message ?? job.worker_id ?? ""}</div>
    <div class="progress"><${Meter} share=${(percent ?? 0) / 100} label=${percent == null ? "No progress told" : `${percent} percent`} />
      <span>${percent == null ? "" : `${percent}%`}</span></div>
    <span class="took"><${Since} of=${job.started_at} /></span>
    ${may("operate") && html`<${Cancel} job=${job} />`}
  </li>`;
}

function Cancel({ job }) {
  const [asked, setAsked] = useState(false);
  const ending = asked || job.cancelling;
  async function cancel() {
    setAsked(true);
    await post(`job/${job.id}/cancel`).catch((error) => (setAsked(false), failed(error)));
  }
  return html`<button type="button" class="quiet bad" disabled=${ending} onClick=${cancel}
    aria-label=${`Cancel ${job.type} ${job.id.slice(-8)}`}>${ending ? "Cancelling" : "Cancel"}</button>`;
}
