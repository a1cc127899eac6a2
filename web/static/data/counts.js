// How many jobs of each state a list has, or had: read once, and again soon after something happened to jobs.

import { useEffect, useRef } from "../view.js";
import { at } from "../frame/router.js";
import { exact } from "./format.js";
import { onJobs } from "./live.js";
import { useData, useListener } from "./use.js";

const SOON = 3000; // ms: tabs need not be true to the instant

// `filters` without a state. Answers state -> "1,203" or "1,000+", or nothing while it is not known.
export function useCounts(filters) {
  const { status, ...rest } = filters;
  const { data, reload } = useData("jobs/counts", rest);
  const timer = useRef(0);
  const newest = useRef(reload);
  newest.current = reload;
  useEffect(() => () => clearTimeout(timer.current), []);
  useListener(onJobs, (updates) => {
    if (timer.current || at.value || !updates.some((update) => update.event !== "progressed")) return;
    timer.current = setTimeout(() => ((timer.current = 0), newest.current()), SOON);
  });
  return (state) => (data ? said(data, state) : undefined);
}

function said({ counts, more }, state) {
  const states = state === "all" ? Object.keys(counts) : [state];
  const sum = states.reduce((total, one) => total + (counts[one] ?? 0), 0);
  return `${exact(sum)}${states.some((one) => more.includes(one)) ? "+" : ""}`;
}
