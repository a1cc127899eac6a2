// "Why is this not running?": the server's findings, what stands in the way first.

import { html, useEffect } from "../../view.js";
import { useData } from "../../data/use.js";
import { Icon } from "../../parts/icon.js";
import { ErrorBox } from "../../parts/states.js";

export function Why({ job }) {
  const why = useData(`job/${job.id}/why`, {}, { every: 5 });
  useEffect(() => void why.reload(), [job.version]);
  const findings = why.data?.findings ?? [];
  return html`<section class="panel why" aria-labelledby="why-title">
    <h2 id="why-title">Why is this not running?</h2>
    ${why.error && html`<${ErrorBox} error=${why.error} retry=${why.reload} />`}
    <ul>${findings.map((one) => html`<li key=${one.code} class=${one.blocks ? "blocks" : ""}>
      <${Icon} name=${one.blocks ? "alert" : NOTED.has(one.code) ? "clock" : "check"} size=${16} /><span>${sentence(one.text)}</span></li>`)}</ul>
  </section>`;
}

// They stand in nobody's way, but are not as they should be.
const NOTED = new Set(["projection_behind", "redis_away", "redis_rebuilt", "expires"]);
const sentence = (text) => text[0].toUpperCase() + text.slice(1);
