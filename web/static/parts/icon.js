// Icons from one sprite file, in the text's colour. Beside a label they say nothing of their own.

import { html } from "../view.js";

const SPRITE = new URL("../vendor/lucide/icons.svg", import.meta.url);

export function Icon({ name, size = 18, label }) {
  const said = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  return html`<svg class="icon" width=${size} height=${size} ...${said}><use href=${`${SPRITE}#${name}`} /></svg>`;
}
