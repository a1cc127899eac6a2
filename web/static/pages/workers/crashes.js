// Queues whose worker processes end again and again: why, and when the next one is tried.

import { html } from "../../view.js";
import { duration, plural } from "../../data/format.js";
import { Icon } from "../../parts/icon.js";
import { QueueLink } from "../../parts/values.js";

export function Crashes({ supervisors }) {
  const found = supervisors.flatMap(({ host, name, crashes }) =>
    Object.entries(crashes ?? {}).map(([queue, crash]) => ({ host, name, queue, ...crash })));
  if (!found.length) return null;
  return html`<section class="panel crashes" aria-labelledby="crashes-title">
    <header><${Icon} name="alert" /><h2 id="crashes-title">Workers that do not stay up</h2></header>
    <ul class="rows">${found.map((one) => html`<li key=${`${one.name} ${one.queue}`} class="row" data-queue=${one.queue}>
      <div><b><${QueueLink} name=${one.queue} /></b> <span class="dim">on ${one.host}: ended ${plural(one.in_a_row, "time")} in a row, ${again(one.again_in)}</span>
        <pre class="code" tabindex="0">${one.reason}</pre></div></li>`)}</ul></section>`;
}

const again = (seconds) => (seconds > 0 ? `tried again in ${duration(seconds)}` : "tried again now");
