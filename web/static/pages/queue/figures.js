import { html } from "../../view.js";
import { duration, number, percent, rate } from "../../data/format.js";

const OF = [
  ["Waiting", (of) => number(of.depth), (of) => `${number(of.queued)} ready, ${number(of.pending)} for later`],
  ["Running", (of) => number(of.processing), (of) => (of.capacity == null ? "no limit" : `of ${number(of.capacity)} at once`)],
  ["Throughput", (of) => `${rate(of.throughput)}/s`, (of) => `${number(of.per_minute)} a minute, ${number(of.per_hour)} an hour`],
  ["Success, 24 h", (of) => percent(of.success_rate), (of) => `${number(of.completed_today)} done, ${number(of.failed_today)} failed today`],
  ["Run time, p95", (of) => duration(of.p95), (of) => `p50 ${duration(of.p50)}, p99 ${duration(of.p99)}, mean ${duration(of.avg_processing_time)}`],
];

export function QueueFigures({ stats }) {
  return html`<dl class="panel figures">${OF.map(([label, value, more]) => html`<div key=${label} class="figure"><dt>${label}</dt>
    <dd><b>${stats ? value(stats) : "–"}</b><span>${stats ? more(stats) : ""}</span></dd></div>`)}</dl>`;
}
