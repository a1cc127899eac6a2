// What failed lately, by what the failures have in common. Read again soon after one is told, not for each.

import { html, useEffect, useRef } from "../../view.js";
import { onJobs } from "../../data/live.js";
import { brief, number } from "../../data/format.js";
import { now } from "../../data/clock.js";
import { useData, useListener } from "../../data/use.js";
import { href } from "../../frame/router.js";
import { useHeld } from "../../parts/held.js";
import { Empty, Loading } from "../../parts/states.js";
import { JobLink, Time } from "../../parts/values.js";

const SOON = 2000; // ms
const BAD = new Set(["failed", "retry_scheduled", "expired", "lost"]);

const yesterday = () => new Date(now() - 86_400_000).toISOString().slice(0, 13) + ":00:00.000Z";

export function Failures() {
  const found = useData("failures", { since: yesterday(), limit: 50 }, { every: 60, reset: false });
  const timer = useRef(0);
  useListener(onJobs, (updates) => {
    if (timer.current || !updates.some((update) => BAD.has(update.event))) return;
    timer.current = setTimeout(() => ((timer.current = 0), found.reload()), SOON);
  });
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<section class="panel" aria-labelledby="failures-title">
    <header><h2 id="failures-title">Latest failures</h2><span class="dim">24 h</span>
      <div class="actions"><a class="button" href=${href("/failures")}>All failures</a></div></header>
    <${Loading} of=${found} rows=${4} height=${52}>${(data) => html`<${List} failures=${data.failures} />`}<//>
  </section>`;
}

const byTime = (failures) => [...failures].sort((a, b) => (a.last_seen < b.last_seen ? 1 : -1)).slice(0, 8);

function List({ failures }) {
  const [shown, list] = useHeld(failures);
  if (!failures.length) return html`<${Empty} title="Nothing has failed" icon="check"><p>Failed attempts are shown here, those with the same cause together.</p><//>`;
  return html`<ul class="rows" ref=${list}>${byTime(shown).map((one) => html`<li key=${one.fingerprint + one.type} class="row failure-row">
    <b class="times" title=${`${number(one.count)} failed attempts`}>${number(one.count)}×</b>
    <div class="what-failed"><code title=${one.error}>${brief(one.error)}</code>
      <span class="dim">${one.type} in ${one.queues.join(", ")}, <${Time} of=${one.last_seen} /></span></div>
    <${JobLink} id=${one.sample_job} /></li>`)}</ul>`;
}
