// What a job carries, as text that can be folded and copied.

import { html, useState } from "../../view.js";
import { Copy } from "../../parts/copy.js";
import { Tree } from "./tree.js";

export function Body({ title, value, empty }) {
  const [raw, setRaw] = useState(false);
  const text = value === undefined || value === null ? null : JSON.stringify(value, null, 2);
  const id = `body-${title.toLowerCase()}`;
  return html`<section class="panel body" aria-labelledby=${id}>
    <header><h2 id=${id}>${title}</h2>
      ${text && html`<span><button type="button" class="quiet" aria-pressed=${raw} onClick=${() => setRaw(!raw)}>${raw ? "As a tree" : "As text"}</button>
        <${Copy} text=${text} label=${`Copy the ${title.toLowerCase()}`} /></span>`}</header>
    ${text === null ? html`<p class="dim">${empty}</p>` : raw ? html`<pre class="code" tabindex="0">${text}</pre>` : html`<${Tree} value=${value} />`}
  </section>`;
}

export function ErrorText({ text }) {
  const lines = text.trim().split("\n");
  return html`<section class="panel body" aria-labelledby="body-error">
    <header><h2 id="body-error">Error</h2><${Copy} text=${text} label="Copy the error" /></header>
    <p class="error-line"><code>${lines.at(-1)}</code></p>
    ${lines.length > 1 && html`<details class="trace" open><summary>Trace, ${lines.length} lines</summary><pre class="code" tabindex="0">${text}</pre></details>`}
  </section>`;
}
