// How long jobs waited and ran: percentiles over time.

import { html } from "../../view.js";
import { duration } from "../../data/format.js";
import { last } from "../../data/series.js";
import { Chart } from "../../parts/chart.js";
import { Loading } from "../../parts/states.js";

const KINDS = { wait: "Wait until the start", run: "Run time" };
const RANKS = [["p99", "--bad"], ["p95", "--accent-fill"], ["p50", "--good"]];

export function Percentiles({ series }) {
  return html`<div class="halves">${Object.entries(KINDS).map(([kind, name]) => html`<section key=${kind} class="panel" aria-label=${name}>
    <header><h2>${name}</h2></header><div class="chart-place">
    <${Loading} of=${series} rows=${1} height=${230}>${(data) => html`<${Lines} kind=${kind} name=${name} data=${data} />`}<//></div></section>`)}</div>`;
}

function Lines({ kind, name, data }) {
  const [of] = data.series;
  const lines = RANKS.map(([rank, color]) => {
    const values = of[`${kind}_${rank}`] ?? [];
    return { name: rank, values, color, total: last(values) };
  });
  const label = `${name}, lately: ${lines.map((line) => `${line.name} ${duration(line.total)}`).join(", ")}.`;
  return html`<${Chart} times=${data.times} lines=${lines} label=${label} step=${data.step} height=${190} axis=${70} format=${duration} />`;
}
