// What is configured: queues, the system, and this browser.

import { html } from "../../view.js";
import { theme, zone } from "../../data/prefs.js";
import { may, me } from "../../data/me.js";
import { useData } from "../../data/use.js";
import { duration, number } from "../../data/format.js";
import { href } from "../../frame/router.js";
import { Loading } from "../../parts/states.js";
import { QueueLink } from "../../parts/values.js";
import { NewQueue } from "./new-queue.js";
import { SystemForm } from "./system-form.js";

const known = ({ data, error }) => data || error;

// A section is drawn when what stands above it has its height: nothing is pushed down while it is read.
export default function Settings() {
  const queues = useData("queues");
  const config = useData("config");
  return html`<div class="page-head"><h1>Settings</h1></div>
    <section class="panel" aria-labelledby="queues-title">
      <header><h2 id="queues-title">Queues</h2><div class="actions">${may("admin") && html`<${NewQueue} />`}</div></header>
      <${Loading} of=${queues} rows=${4}>${(data) => html`<${Queues} queues=${data.queues} />`}<//>
    </section>
    ${known(queues) && html`<section class="panel padded" aria-labelledby="system-title"><h2 id="system-title">System</h2>
      <${Loading} of=${config} rows=${5}>${(data) => html`<${SystemForm} key=${JSON.stringify(data)} config=${data} reload=${config.reload} />`}<//>
    </section>`}
    ${known(queues) && known(config) && html`<section class="panel padded" aria-labelledby="here-title"><h2 id="here-title">This browser</h2><${Here} /></section>`}`;
}

function Queues({ queues }) {
  return html`<table class="table cards"><thead><tr><th>Queue</th><th class="right">Priority</th><th class="right">Retries</th><th class="right">Retry after</th>
    <th class="right">Time limit</th><th class="right">At once</th><th class="right">Processes</th><th><span class="sr">Change</span></th></tr></thead>
    <tbody>${queues.map(({ name, paused, config }) => html`<tr key=${name}>
      <td class="wide"><${QueueLink} name=${name} /> ${paused && html`<span class="badge warn">Paused</span>`}</td>
      <td data-label="Priority" class="right">${config.priority}</td>
      <td data-label="Retries" class="right">${config.max_retries}</td>
      <td data-label="Retry after" class="right">${duration(config.retry_delay)}${config.retry_backoff === "exponential" ? ", doubling" : ""}</td>
      <td data-label="Time limit" class="right">${config.timeout == null ? "none" : duration(config.timeout)}</td>
      <td data-label="At once" class="right">${config.max_workers == null ? "no limit" : number(config.max_workers)}</td>
      <td data-label="Processes" class="right">${config.scaling.min} to ${config.scaling.max}</td>
      <td class="right"><a class="button" href=${href(`/queue/${encodeURIComponent(name)}`, { tab: "settings" })}>${may("admin") ? "Change" : "See"}</a></td></tr>`)}</tbody></table>`;
}

function Choice({ label, of, choices }) {
  return html`<div class="choice"><span>${label}</span><div class="segments" role="group" aria-label=${label}>${Object.entries(choices).map(([key, name]) => html`<button
    key=${key} type="button" aria-pressed=${of.value === key} onClick=${() => (of.value = key)}>${name}</button>`)}</div></div>`;
}

function Here() {
  return html`<div class="choices">
    <${Choice} label="Theme" of=${theme} choices=${{ auto: "As the system", light: "Light", dark: "Dark" }} />
    <${Choice} label="Times" of=${zone} choices=${{ local: "Local time", utc: "UTC" }} />
    <p class="dim">You are ${me.value.user}, ${me.value.role}. <a href="docs">The API's documentation</a></p></div>`;
}
