// Enqueued, completed and failed over the chosen span.

import { html } from "../../view.js";
import { number } from "../../data/format.js";
import { span } from "../../data/prefs.js";
import { SPANS, sum } from "../../data/series.js";
import { Chart } from "../../parts/chart.js";
import { Loading } from "../../parts/states.js";

const HEIGHT = 210;

export function SpanSwitch() {
  return html`<div class="segments" role="group" aria-label="Span of the chart">
    ${Object.entries(SPANS).map(([key, { name }]) => html`<button key=${key} type="button" aria-pressed=${span.value === key}
      onClick=${() => (span.value = key)}>${name}</button>`)}</div>`;
}

export function Throughput({ series }) {
  return html`<section class="panel" aria-labelledby="throughput-title">
    <header><h2 id="throughput-title">Jobs over time</h2><div class="actions"><${SpanSwitch} /></div></header>
    <div class="chart-place">
      <${Loading} of=${series} rows=${1} height=${HEIGHT + 32}>${(data) => html`<${Lines} data=${data} />`}<//>
    </div>
  </section>`;
}

function Lines({ data }) {
  const [of] = data.series;
  const failed = ({ failed, expired }) => failed.map((count, n) => count + expired[n]);
  const lines = [
    { name: "Completed", of: ({ completed }) => completed, color: "--good", fill: true },
    { name: "Enqueued", of: ({ enqueued }) => enqueued, color: "--info" },
    { name: "Failed", of: failed, color: "--bad" },
  ].map(({ of: values, ...line }) => ({ ...line, values: values(of), total: sum(values(of.all)) }));
  const label = `In the last ${SPANS[span.value].name}: ${lines.map(({ name, total }) => `${name.toLowerCase()} ${number(total)}`).join(", ")}.`;
  return html`<${Chart} times=${data.times} lines=${lines} step=${data.step} label=${label} height=${HEIGHT} format=${number} whole />`;
}
