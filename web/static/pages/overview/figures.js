// The figures on top.

import { html } from "../../view.js";
import { duration, number, percent, plural, rate } from "../../data/format.js";
import { span } from "../../data/prefs.js";
import { SPANS, last, sum } from "../../data/series.js";
import { Sparkline } from "../../parts/sparkline.js";
import { Meter } from "../../parts/values.js";

function Figure({ label, value, more, line, tone, children }) {
  return html`<div class="figure"><dt>${label}</dt><dd><b class=${tone ?? ""}>${value}</b><span>${more}</span>
    ${line && html`<${Sparkline} values=${line} height=${24} tone=${tone} />`}${children}</dd></div>`;
}

const all = (queues, field) => sum(Object.values(queues ?? {}).map((stats) => stats[field]));

// Of what ended in the span: percent, or null when nothing did.
export function success({ completed, failed, expired }) {
  const ended = sum(completed) + sum(failed) + sum(expired);
  return ended ? (100 * sum(completed)) / ended : null;
}

function ofSpan(series) {
  const of = series?.series[0];
  if (!of) return { rate: null, failed: null, p50: null, p95: null };
  return { rate: success(of.all), failed: sum(of.all.failed) + sum(of.all.expired), p50: last(of.run_p50), p95: last(of.run_p95), line: of };
}

export function Figures({ series, queues, workers }) {
  const over = ofSpan(series);
  const oldest = Math.max(0, ...Object.values(queues ?? {}).map((stats) => stats.oldest_waiting_seconds ?? 0));
  const slots = sum((workers?.workers ?? []).map((worker) => worker.slots));
  const busy = sum((workers?.workers ?? []).map((worker) => worker.busy));
  const known = queues !== null;
  return html`<dl class="panel figures">
    <${Figure} label="Throughput" value=${known ? `${rate(all(queues, "throughput"))}/s` : "–"} more=${`${number(all(queues, "per_minute"))} in the last minute`} line=${over.line?.completed} />
    <${Figure} label=${`Success, ${SPANS[span.value].name}`} value=${percent(over.rate)} tone=${over.rate != null && over.rate < 95 ? "bad" : ""}
      more=${over.rate == null ? "nothing has ended" : `${number(over.failed)} failed, ${percent(100 - over.rate)}`} line=${over.line?.failed} />
    <${Figure} label="Waiting" value=${known ? number(all(queues, "depth")) : "–"} more=${oldest ? `oldest for ${duration(oldest)}` : "nothing is late"}>
      <span class="figure-note">${number(all(queues, "pending"))} scheduled or between retries</span><//>
    <${Figure} label="Run time, p95" value=${duration(over.p95)} more=${`half within ${duration(over.p50)}`} line=${over.line?.run_p95} />
    <${Figure} label="Workers busy" value=${slots ? percent((100 * busy) / slots) : "–"} more=${`${number(busy)} of ${plural(slots, "slot")}, ${plural(workers?.active ?? 0, "worker")}`}>
      <${Meter} share=${slots ? busy / slots : 0} label=${`${number(busy)} of ${number(slots)} slots busy`} /><//>
  </dl>`;
}
