// JSON as a tree whose branches fold. Big ones begin folded, so that a payload of a mebibyte opens at once.

import { html } from "../../view.js";

const OPEN_UP_TO = 40; // entries
const SHOWN = 500;

export function Tree({ value }) {
  return html`<div class="json"><${Value} value=${value} depth=${0} /></div>`;
}

function Value({ name, value, depth }) {
  const label = name === undefined ? "" : html`<span class="key">${name}</span>: `;
  if (value === null || typeof value !== "object") return html`<div class="leaf">${label}<${Leaf} value=${value} /></div>`;
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  const sign = list ? `[${entries.length}]` : `{${entries.length}}`;
  if (!entries.length) return html`<div class="leaf">${label}<span class="dim">${list ? "[]" : "{}"}</span></div>`;
  return html`<details open=${depth < 3 && entries.length <= OPEN_UP_TO}>
    <summary>${label}<span class="dim">${sign}</span></summary>
    <div class="branch">${entries.slice(0, SHOWN).map(([key, inner]) => html`<${Value} key=${key} name=${list ? undefined : key} value=${inner} depth=${depth + 1} />`)}
      ${entries.length > SHOWN && html`<div class="dim">and ${entries.length - SHOWN} more; see it as text</div>`}</div>
  </details>`;
}

function Leaf({ value }) {
  const kind = value === null ? "null" : typeof value;
  return html`<span class=${`value-${kind}`}>${kind === "string" ? JSON.stringify(value) : String(value)}</span>`;
}
