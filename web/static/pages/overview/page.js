// How it all goes, at one glance: figures, the chart, queues, what runs, what failed, who works.

import { html } from "../../view.js";
import { live } from "../../data/live.js";
import { span } from "../../data/prefs.js";
import { SPANS, useSeries } from "../../data/series.js";
import { Active } from "./active.js";
import { Cards } from "./cards.js";
import { Failures } from "./failures.js";
import { Figures } from "./figures.js";
import { Throughput } from "./throughput.js";
import { Crew } from "./crew.js";

export default function Overview() {
  const series = useSeries(span.value in SPANS ? span.value : "1h");
  return html`
    <h1 class="sr">Overview</h1>
    <${Figures} series=${series.data} queues=${live.queues.value} workers=${live.workers.value} />
    <${Throughput} series=${series} />
    <${Cards} queues=${live.queues.value} />
    <div class="columns">
      <${Active} />
      <div class="column"><${Failures} /><${Crew} status=${live.workers.value} /></div>
    </div>`;
}
