// Other jobs of the same piece of work: those with its correlation id.

import { html } from "../../view.js";
import { useData } from "../../data/use.js";
import { href } from "../../frame/router.js";
import { JobLink, Status, Time } from "../../parts/values.js";

const MOST = 10;

export function Related({ job }) {
  const correlation = job.metadata.correlation_id;
  const { data } = useData(correlation ? "jobs" : null, { correlation_id: correlation, limit: MOST + 1 });
  const others = (data?.jobs ?? []).filter((other) => other.id !== job.id);
  if (!others.length) return null;
  return html`<section class="panel" aria-labelledby="related-title">
    <header><h2 id="related-title">Related jobs</h2>
      <a href=${href("/jobs", { correlation_id: correlation })}>all of ${correlation}</a></header>
    <ul class="related">${others.slice(0, MOST).map((other) => html`<li key=${other.id}>
      <${JobLink} id=${other.id} /><b title=${other.type}>${other.type}</b><${Status} of=${other.status} /><${Time} of=${other.metadata.created_at} /></li>`)}</ul>
  </section>`;
}
