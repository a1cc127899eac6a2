// One group: a row of numbers, and opened, a sample's trace.

import { html } from "../../view.js";
import { exact, plural } from "../../data/format.js";
import { may } from "../../data/me.js";
import { useData } from "../../data/use.js";
import { at, href } from "../../frame/router.js";
import { Copy } from "../../parts/copy.js";
import { Icon } from "../../parts/icon.js";
import { JobLink, QueueLink, Time } from "../../parts/values.js";
import { act, ACTIONS } from "../jobs/bulk.js";
import { SPANS } from "./grouped.js";

const RETRY = ACTIONS.find(({ name }) => name === "retry");
const jobsOf = ({ fingerprint, type }, queue, more) => ({ type, fingerprint, queue, ...more });

export function Group({ group, since, queue, open, flip, reload }) {
  const redrive = () => act(RETRY, { all: true, ids: [], filters: jobsOf(group, queue, { status: "failed,expired" }), done: reload });
  return html`<tr>
    <th scope="row"><button type="button" class="disclose" aria-expanded=${open} onClick=${flip}><${Icon} name=${open ? "down" : "right"} size=${16} />
        <code title=${group.error}>${group.error}</code></button>
      <span class="where"><b>${group.type}</b> in ${group.queues.map((name, n) => html`${n ? ", " : ""}<${QueueLink} key=${name} name=${name} />`)}, ${plural(group.count, "failed attempt")}</span></th>
    ${SPANS.map(({ name, span }) => html`<td key=${name} class="number" data-label=${name}>
      <${Cell} count=${group.jobs?.[span] ?? 0} more=${group.more?.includes(span)} to=${jobsOf(group, queue, { started_since: since[span] })} /></td>`)}
    <td class="seen" data-label="First seen"><${Time} of=${group.first_seen} /></td>
    <td class="seen" data-label="Last seen"><${Time} of=${group.last_seen} /></td>
    <td class="acts">${may("operate") && !at.value && html`<button type="button" disabled=${group.jobs?.["30d"] === 0} onClick=${redrive}>Redrive</button>`}</td>
  </tr>
  ${open && html`<tr class="sample"><td colspan=${SPANS.length + 4}><${Sample} id=${group.sample_job} /></td></tr>`}`;
}

// The list behind the number has exactly so many jobs.
function Cell({ count, more, to }) {
  if (!count) return html`<span class="dim">0</span>`;
  const said = `${exact(count)}${more ? "+" : ""}`;
  return html`<a href=${href("/jobs", to)} title=${`${more ? "More than " : ""}${plural(count, "job")}: show ${count === 1 ? "it" : "them"}`}>${said}</a>`;
}

function Sample({ id }) {
  const { data, error } = useData(`job/${id}`);
  const text = data?.job.error ?? "";
  if (error) return html`<p class="dim">The sample is gone: ${error.message}</p>`;
  return html`<div class="sample-head"><span>Sample: job <${JobLink} id=${id} /></span><${Copy} text=${() => text} label="Copy the trace" /></div>
    <pre class="code" tabindex="0">${text || (data ? "It has no error text any more: it was run again, or erased." : "…")}</pre>`;
}
