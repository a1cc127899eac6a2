// One job: what happened to it and why, what it carries, and what can be done with it. Follows the feed.

import { html, useEffect, useRef } from "../../view.js";
import { onJobs } from "../../data/live.js";
import { may } from "../../data/me.js";
import { shortId } from "../../data/format.js";
import { useData, useListener } from "../../data/use.js";
import { at } from "../../frame/router.js";
import { Copy } from "../../parts/copy.js";
import { ErrorBox, Skeleton } from "../../parts/states.js";
import { QueueLink, Status, withheld } from "../../parts/values.js";
import { Actions } from "./actions.js";
import { Body, ErrorText } from "./body.js";
import { Facts } from "./facts.js";
import { Related } from "./related.js";
import { Timeline } from "./timeline.js";
import { Why } from "./why.js";

const OFTEN = 300; // ms between two readings of a job that changes fast
const WAITING = new Set(["pending", "queued"]);

export const title = ({ id }) => `Job ${shortId(id)}`;

export default function Job({ params: { id } }) {
  const story = useData(`job/${id}/history`);
  useFollowed(id, story.reload);
  const { data, error } = story;
  if (error && !data) return html`<div class="stack"><h1>Job ${shortId(id)}</h1><${NoJob} error=${error} reload=${story.reload} /></div>`;
  if (!data) return html`<div class="stack"><h1>Job ${shortId(id)}</h1><${Skeleton} rows=${6} height=${64} /></div>`;
  const { job, events } = data;
  return html`<div class="job-page stack">
    <header class="page-head">
      <div class="job-title"><h1>${job.type}</h1><${Status} of=${job.status} cancelling=${job.cancelling} />
        <span class="dim">in <${QueueLink} name=${job.queue} /></span>
        <span class="job-id"><code title=${job.id}>${shortId(job.id)}</code><${Copy} text=${job.id} label="Copy the whole id" /></span></div>
      ${may("operate") && !at.value && html`<${Actions} job=${job} reload=${story.reload} />`}
    </header>
    ${error && html`<${ErrorBox} error=${error} retry=${story.reload} />`}
    ${WAITING.has(job.status) && html`<${Why} job=${job} />`}
    <div class="job-columns">
      <div>
        <${Timeline} job=${job} events=${events} />
      </div>
      <div>
        <${Facts} job=${job} />
        ${job.error && html`<${ErrorText} text=${job.error} />`}
        <${Body} title="Payload" value=${job.payload} empty=${withheld(job) ?? "Nothing"} />
        ${job.status === "completed" && html`<${Body} title="Result" value=${job.result} empty=${withheld(job) ?? "It answered nothing"} />`}
        <${Related} job=${job} />
      </div>
    </div>
  </div>`;
}

// Reads again when something happened to it, at most every OFTEN ms, and always once after the last time.
function useFollowed(id, reload) {
  const timer = useRef(0);
  const newest = useRef(reload);
  newest.current = reload;
  useEffect(() => () => clearTimeout(timer.current), []);
  useListener(onJobs, (updates) => {
    if (timer.current || !updates.some((update) => update.id === id)) return;
    timer.current = setTimeout(() => {
      timer.current = 0;
      newest.current();
    }, OFTEN);
  });
}

function NoJob({ error, reload }) {
  if (error.status !== 404) return html`<${ErrorBox} error=${error} retry=${reload} />`;
  return html`<div class="empty"><h2>There is no such job</h2>
    <p>It may be older than the retention time, or the id is not whole. <a href="#/jobs">Search for it</a>.</p></div>`;
}
