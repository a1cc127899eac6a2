// A small line of past values, the newest at the right. Beside figures, so it says nothing to screen readers.

import { html } from "../view.js";

const WIDTH = 240;

export function Sparkline({ values, height = 32, tone = "" }) {
  const drawn = values && values.length > 1 ? path(values, height) : null;
  return html`<svg class=${`sparkline ${tone}`} viewBox=${`0 0 ${WIDTH} ${height}`} height=${height} preserveAspectRatio="none" aria-hidden="true">
    ${drawn && html`<path class="area" d=${`${drawn}L${WIDTH},${height}L0,${height}Z`} /><path class="line" d=${drawn} />`}
  </svg>`;
}

function path(values, height) {
  const top = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const x = (n) => ((n * WIDTH) / (values.length - 1)).toFixed(1);
  const y = (value) => (height - 1.5 - ((height - 4) * (value ?? 0)) / top).toFixed(1);
  return `M${values.map((value, n) => `${x(n)},${y(value)}`).join("L")}`;
}
