// One queue: its figures and percentiles, its jobs by state, its settings.

import { html } from "../../view.js";
import { live } from "../../data/live.js";
import { span } from "../../data/prefs.js";
import { useSeries } from "../../data/series.js";
import { may } from "../../data/me.js";
import { href } from "../../frame/router.js";
import { openEnqueue } from "../../parts/enqueue/dialog.js";
import { Icon } from "../../parts/icon.js";
import { QueueActions, queueState } from "../../parts/queue-actions.js";
import { Empty } from "../../parts/states.js";
import { Throughput } from "../overview/throughput.js";
import { QueueSettings } from "../settings/queue-form.js";
import { QueueFigures } from "./figures.js";
import { QueueJobs } from "./jobs.js";
import { Percentiles } from "./percentiles.js";

export const title = ({ queue }) => queue;

const TABS = { jobs: "Jobs", times: "Times", settings: "Settings" };

export default function Queue({ params, query }) {
  const name = params.queue;
  const stats = live.queues.value?.[name];
  if (live.queues.value && !stats) return html`<${Gone} name=${name} />`;
  const tab = query.tab in TABS ? query.tab : "jobs";
  return html`<${Head} name=${name} stats=${stats} />
    <${QueueFigures} stats=${stats} />
    <nav class="tabs" aria-label="Parts of the queue">${Object.entries(TABS).map(([key, label]) => html`<a key=${key}
      href=${href(`/queue/${encodeURIComponent(name)}`, key === "jobs" ? {} : { tab: key })} aria-current=${tab === key ? "page" : null}>${label}</a>`)}</nav>
    ${tab === "jobs" && html`<${QueueJobs} name=${name} stats=${stats} state=${query.state ?? "all"} />`}
    ${tab === "times" && html`<${Times} name=${name} />`}
    ${tab === "settings" && html`<section class="panel padded"><${QueueSettings} name=${name} /></section>`}`;
}

function Head({ name, stats }) {
  const [state, tone] = stats ? queueState(stats) : ["", ""];
  return html`<div class="page-head"><h1>${name}</h1>${stats && html`<span class=${`badge ${tone}`}>${state}</span>`}
    <div class="actions">
      ${may("produce") && html`<button type="button" onClick=${() => openEnqueue(name)}><${Icon} name="plus" size=${15} />Enqueue</button>`}
      ${stats && html`<${QueueActions} name=${name} stats=${stats} />`}
    </div></div>`;
}

function Times({ name }) {
  const series = useSeries(span.value, { queue: name });
  return html`<${Throughput} series=${series} /><${Percentiles} series=${series} />`;
}

function Gone({ name }) {
  return html`<div class="page-head"><h1>${name}</h1></div><${Empty} title=${`There is no queue ${name}`} icon="queue"><p>It was deleted, or its name is another. ${" "}
    <a href=${href("/")}>See all queues</a>, <a href=${href("/jobs", { queue: name })}>its jobs</a>, or ${" "}
    <a href=${href("/log", { queue: name })}>what the log has of it</a>.</p><//>`;
}
