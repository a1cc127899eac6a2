// An empty list: either nothing matches, or there is nothing yet, and then how a first job is made.

import { html } from "../../view.js";
import { base } from "../../data/api.js";
import { may } from "../../data/me.js";
import { openEnqueue } from "../../parts/enqueue/dialog.js";
import { Command, Empty } from "../../parts/states.js";

export function NothingFound({ filters, change }) {
  if (Object.keys(filters).length > 0) {
    return html`<${Empty} title="No job matches" icon="search">
      <p>Finished jobs stay for the retention time; what a payload or an error holds is found by whole words.</p>
      <button type="button" onClick=${() => change({})}>Show all jobs</button>
    <//>`;
  }
  const address = base.href.replace(/\/$/, "");
  const curl = `curl ${address}/queue/default/jobs \\\n  -H "Authorization: Bearer $HIVELOG_ADMIN_TOKEN" \\\n  -d '{"type": "hello", "payload": {"name": "Ann"}}'`;
  return html`<${Empty} title="There are no jobs yet" icon="jobs">
    <p>Enqueue a first one from a shell, or from any program:</p>
    <${Command} line=${`hivelog enqueue default hello '{"name": "Ann"}'`} />
    <${Command} line=${curl} />
    ${may("produce") && html`<button type="button" class="primary" onClick=${() => openEnqueue()}>Enqueue a job here</button>`}
  <//>`;
}
