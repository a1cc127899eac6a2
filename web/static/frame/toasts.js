// Short messages at the edge: what was done, with a way back where there is one, or what went wrong.
//
//   toast({ text: "Queue reports paused", action: ["Resume", () => ...] });
//   failed(error);

import { html, signal } from "../view.js";
import { Icon } from "../parts/icon.js";

const shown = signal([]);
let number = 0;

const drop = (id) => (shown.value = shown.value.filter((one) => one.id !== id));

export function toast({ text, action, tone = "", seconds = action ? 10 : 5 }) {
  const id = ++number;
  shown.value = [...shown.value.slice(-3), { id, text, action, tone }];
  setTimeout(() => drop(id), seconds * 1000);
}

export function failed(error) {
  const said = error.message ?? String(error);
  toast({ text: `${said[0].toUpperCase()}${said.slice(1)}.`, tone: "bad", seconds: 8 });
}

function Toast({ id, text, action, tone }) {
  const act = () => (drop(id), action[1]());
  return html`<li class=${tone}>
    <span>${text}</span>
    ${action && html`<button type="button" onClick=${act}>${action[0]}</button>`}
    <button type="button" class="icon-button" aria-label="Dismiss" onClick=${() => drop(id)}><${Icon} name="close" size=${16} /></button>
  </li>`;
}

export function Toasts() {
  return html`<div role="status" aria-live="polite"><ol class="toasts">
    ${shown.value.map((one) => html`<${Toast} key=${one.id} ...${one} />`)}
  </ol></div>`;
}
