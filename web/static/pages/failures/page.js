// Failures by what they have in common, over four spans of time. Each number leads to its jobs.

import { html, useState } from "../../view.js";
import { at, href, setQuery } from "../../frame/router.js";
import { live } from "../../data/live.js";
import { Export } from "../../parts/export.js";
import { ErrorBox, Empty, Skeleton } from "../../parts/states.js";
import { Group } from "./group.js";
import { ASKED, keyOf, SPANS, useFailures } from "./grouped.js";

export default function Failures({ query }) {
  const { groups, since, error, reload } = useFailures(query.queue);
  const [open, setOpen] = useState(null);
  return html`<div class="failures-page stack">
    <header class="page-head"><h1>Failures</h1>
      <div class="actions"><${QueueChoice} chosen=${query.queue} /><${Export} path="failures" past query=${() => ({ queue: query.queue, spans: ASKED })} /></div></header>
    <p class="lead dim">What went wrong, by kind and job type. The numbers are jobs that failed so last, by when they last started; each leads to them.</p>
    ${error && html`<${ErrorBox} error=${error} retry=${reload} />`}
    ${groups === null ? !error && html`<${Skeleton} rows=${6} height=${72} />` : groups.length === 0 ? html`<${Fine} queue=${query.queue} />`
      : html`<${Table} groups=${groups} since=${since} queue=${query.queue} open=${open} setOpen=${setOpen} reload=${reload} />`}
  </div>`;
}

function QueueChoice({ chosen }) {
  const names = Object.keys(live.queues.value ?? {}).sort();
  return html`<label class="inline">Queue <select value=${chosen ?? ""} onChange=${(event) => setQuery({ queue: event.target.value || null }, { replace: false })}>
    <option value="">all</option>${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label>`;
}

function Table({ groups, since, queue, open, setOpen, reload }) {
  const flip = (group) => setOpen(open === keyOf(group) ? null : keyOf(group));
  return html`<div class="table-wrap"><table class="failures">
    <thead><tr><th scope="col">What went wrong</th>${SPANS.map(({ name }) => html`<th scope="col" key=${name} class="number">${name}</th>`)}
      <th scope="col" class="seen">First seen</th><th scope="col" class="seen">Last seen</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
    <tbody>${groups.map((group) => html`<${Group} key=${keyOf(group)} group=${group} since=${since} queue=${queue} open=${open === keyOf(group)}
      flip=${() => flip(group)} reload=${reload} />`)}</tbody>
  </table></div>`;
}

const Fine = ({ queue }) => html`<${Empty} title="Nothing failed in 30 days" icon="check">
  <p>${queue ? `In the queue ${queue}, that is. ` : ""}When an attempt fails, it shows up here with its trace,
    beside all others that fail the same way. <a href=${href("/jobs", { status: "completed" })}>See what was completed</a>.</p><//>`;
