// The groups as one answer of the server, with the jobs of each span counted.

import { useEffect, useRef } from "../../view.js";
import { onJobs } from "../../data/live.js";
import { useData, useListener } from "../../data/use.js";

export const SPANS = [
  { name: "1 h", span: "1h" },
  { name: "24 h", span: "24h" },
  { name: "7 d", span: "7d" },
  { name: "30 d", span: "30d" },
];
export const ASKED = SPANS.map(({ span }) => span).join(",");
const FAILING = new Set(["failed", "retry_scheduled", "expired", "lost", "requeued"]);
const SOON = 1500; // ms after a failure until the groups are read again
const EVERY = 60; // s; spans go on with the clock

// {groups: null while nothing is known, since: when each span began, error, reload()}
export function useFailures(queue) {
  const { data, error, reload } = useData("failures", { queue, limit: 200, spans: ASKED }, { every: EVERY });
  useSoonAfterFailures(reload);
  return { groups: data?.failures ?? null, since: data?.since, error, reload };
}

function useSoonAfterFailures(reload) {
  const timer = useRef(0);
  const newest = useRef(reload);
  newest.current = reload;
  useEffect(() => () => clearTimeout(timer.current), []);
  useListener(onJobs, (updates) => {
    if (timer.current || !updates.some((update) => FAILING.has(update.event))) return;
    timer.current = setTimeout(() => ((timer.current = 0), newest.current()), SOON);
  });
}

export const keyOf = ({ fingerprint, type }) => `${fingerprint} ${type}`;
