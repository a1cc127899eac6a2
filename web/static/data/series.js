// Statistics over time: the spans that one may choose, and their reading.

import { now, then } from "./clock.js";
import { useData } from "./use.js";
import { useEffect, useRef, useState } from "../view.js";
import { at } from "../frame/router.js";
import { live } from "./live.js";

// name -> seconds, step of the chart, seconds between two readings
export const SPANS = {
  "15m": { name: "15 min", seconds: 900, step: "1m", every: 5 },
  "1h": { name: "1 h", seconds: 3600, step: "1m", every: 5 },
  "24h": { name: "24 h", seconds: 86_400, step: "15m", every: 60 },
  "30d": { name: "30 d", seconds: 2_592_000, step: "12h", every: 300 },
};

// Changes every so many seconds while the page is seen: what is read then ends at that moment.
function useMoment(every) {
  const [moment, setMoment] = useState(now);
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) setMoment(now());
    first.current = false;
    const timer = setInterval(() => document.hidden || live.paused.value || at.value || setMoment(now()), every * 1000);
    return () => clearInterval(timer);
  }, [every, at.value, then.value]);
  return moment;
}

// {data: {times, series, step}, ...} of a span; query: {queue} or {group: "queue"}.
export function useSeries(span, query = {}) {
  const { seconds, step, every } = SPANS[span];
  const moment = useMoment(every);
  const from = new Date(moment - seconds * 1000).toISOString();
  const found = useData("stats/series", { from, to: new Date(moment).toISOString(), step, ...query }, { reset: false, keep: true });
  // A span that was asked for before this one is not this one's.
  if (!found.data || step !== stepOf(found.data.step)) return { ...found, data: null };
  return { ...found, data: whole(found.data) };
}

const seen = new WeakMap(); // an answer -> what is shown of it, the same object each time

// Without a last short bucket that is not over: it would look like a collapse. Where nothing was before, it is all there is.
// A series' `all` has it: sums leave nothing out.
function whole(data) {
  if (seen.has(data)) return seen.get(data);
  const open = data.step <= 900 && Date.parse(data.times.at(-1)) + data.step * 1000 > Math.min(Date.parse(data.timestamp), now())
    && data.series.some(({ enqueued, started }) => [...enqueued.slice(0, -1), ...started.slice(0, -1)].some(Boolean));
  const cut = (values) => (Array.isArray(values) ? values.slice(0, -1) : values);
  const drawn = (of) => (open ? Object.fromEntries(Object.entries(of).map(([name, values]) => [name, cut(values)])) : of);
  const shown = { ...data, times: open ? cut(data.times) : data.times, series: data.series.map((of) => ({ ...drawn(of), all: of })) };
  seen.set(data, shown);
  return shown;
}

function stepOf(seconds) {
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  return `${seconds / 60}m`;
}

export const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
export const last = (values) => values?.findLast((value) => value != null) ?? null;
