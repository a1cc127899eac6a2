// What of the log is shown; kept in the address.

import { html } from "../../view.js";
import { live } from "../../data/live.js";
import { setQuery } from "../../frame/router.js";
import { BY_HAND, TYPES } from "./event.js";

// A deleted queue is in the log, and may have been asked for by a link.
const queues = (asked) => [...new Set([...Object.keys(live.queues.value ?? {}), ...(asked ? [asked] : [])])];

export function Filters({ query }) {
  const set = (name) => (event) => setQuery({ [name]: event.target.value.trim() || null });
  const any = ["type", "queue", "actor", "job", "operator"].some((name) => query[name]);
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <div class="segments" role="group" aria-label="Whose events">
      <button type="button" aria-pressed=${query.operator !== "1"} onClick=${() => setQuery({ operator: null })}>Everything</button>
      <button type="button" aria-pressed=${query.operator === "1"} onClick=${() => setQuery({ operator: "1", type: null, job: null })}>People's actions</button></div>
    <select aria-label="Event type" value=${query.type ?? ""} onChange=${set("type")}><option value="">All types</option>
      ${(query.operator === "1" ? BY_HAND : TYPES).map((type) => html`<option key=${type} value=${type}>${type.replaceAll("_", " ")}</option>`)}</select>
    <select aria-label="Queue" value=${query.queue ?? ""} onChange=${set("queue")}><option value="">All queues</option>
      ${queues(query.queue).map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select>
    <input data-search aria-label="Who: user:ann, token:ci" placeholder="Who: user:ann" value=${query.actor ?? ""} onChange=${set("actor")} />
    <input aria-label="Job or stream id" placeholder="Job id" disabled=${query.operator === "1"} value=${query.job ?? ""} onChange=${set("job")} />
    ${any && html`<button type="button" class="quiet" onClick=${() => setQuery({ type: null, queue: null, actor: null, job: null, operator: null })}>Clear</button>`}
  </form>`;
}
