// Follows the event log: the newest events that fit the filter, and new ones as they come. The feed tells that
// there is more; the events themselves are read from the log, so queues', workers' and the system's are there too.

import { effect, useEffect, useRef, useState } from "../../view.js";
import { get } from "../../data/api.js";
import { live } from "../../data/live.js";
import { at } from "../../frame/router.js";

const FIRST = 300; // events that are shown at first, when nothing is filtered
const SPAN = 20_000; // positions that the server looks at for one filtered answer
const MOST = 3000; // events kept
const PAGE = 500;
const PAUSE = 700; // ms between two readings

export function useLog({ operator, ...filter }) {
  const [state, setState] = useState({ events: null, skipped: 0, oldest: 0, error: null });
  const run = useRef(0);
  // In the past the log ends where the moment is, which an answer tells after the address.
  const key = JSON.stringify([filter, operator, at.value, at.value && live.position.value]);
  const narrowed = Object.values(filter).some(Boolean);

  useEffect(() => {
    const mine = ++run.current;
    const alive = () => run.current === mine;
    const tell = (change) => alive() && setState(change);
    setState({ events: null, skipped: 0, oldest: 0, error: null });
    if (operator) followPeople({ query: { ...filter, kind: "operator" }, alive, tell });
    else follow({ query: filter, narrowed, alive, tell });
    return () => run.current++;
  }, [key]);

  async function older() {
    const mine = run.current;
    const { events, oldest } = await (operator ? olderOfPeople(filter, state.oldest) : olderOfAll(filter, narrowed, state.oldest));
    if (run.current === mine) setState((old) => ({ ...old, events: [...old.events, ...events], oldest }));
  }
  return { ...state, older };
}

async function olderOfAll(query, narrowed, oldest) {
  const from = Math.max(0, oldest - (narrowed ? SPAN : PAGE));
  const { events } = await get("events", { ...query, after: from, limit: 1000 });
  return { events: events.filter(({ position }) => position <= oldest).reverse(), oldest: from };
}

async function olderOfPeople(filter, oldest) {
  const { events, next } = await get("events", { ...filter, kind: "operator", before: oldest, limit: PAGE });
  return { events, oldest: next ?? 0 };
}

// What people do is found from its newest on, however long the log is.
async function followPeople({ query, alive, tell }) {
  while (alive() && !live.position.peek()) await changed();
  let newest = null;
  while (alive()) {
    try {
      const bounds = newest === null ? { before: live.position.peek() + 1 } : { after: newest };
      const { events, next } = await get("events", { ...query, ...bounds, limit: newest === null ? FIRST : 1000 });
      const first = newest === null;
      newest = events[0]?.position ?? newest ?? 0;
      tell((old) => ({ ...old, error: null, events: [...events, ...(old.events ?? [])].slice(0, MOST), oldest: first ? (next ?? 0) : old.oldest }));
    } catch (error) {
      tell((old) => ({ ...old, events: old.events ?? [], error }));
    }
    if (at.peek()) return;
    await Promise.all([changed(), new Promise((resolve) => setTimeout(resolve, PAUSE))]);
  }
}

// Looking at the past, the log ends there.
const known = ({ position }) => !at.peek() || position <= live.position.peek();

function changed() {
  const before = live.position.peek();
  return new Promise((resolve) => {
    const stop = effect(() => {
      if (live.position.value !== before && !live.paused.value) resolve(), setTimeout(() => stop());
    });
  });
}

async function follow({ query, narrowed, alive, tell }) {
  while (alive() && !live.position.peek()) await changed();
  const start = Math.max(0, live.position.peek() - (narrowed ? SPAN : FIRST));
  let after = start;
  tell((old) => ({ ...old, oldest: start }));
  while (alive()) {
    try {
      after = await step({ query, narrowed, after, alive, tell });
    } catch (error) {
      tell((old) => ({ ...old, events: old.events ?? [], error }));
    }
    if (at.peek()) return;
    await Promise.all([changed(), new Promise((resolve) => setTimeout(resolve, PAUSE))]);
  }
}

// Reads what came after a position; what is too much to be read by anybody is skipped, and counted.
async function step({ query, narrowed, after, alive, tell }) {
  const head = live.position.peek();
  const skipped = narrowed ? 0 : Math.max(0, head - after - 2 * PAGE);
  const { events, next } = await get("events", { ...query, after: after + skipped, limit: 1000 });
  const found = events.filter(known).reverse();
  tell((old) => ({ ...old, error: null, skipped: old.skipped + skipped, events: [...found, ...(old.events ?? [])].slice(0, MOST) }));
  const reached = next ?? Math.max(events.at(-1)?.position ?? 0, after, head);
  const goesOn = next && alive() && narrowed && !(at.peek() && reached >= head);
  return goesOn ? step({ query, narrowed, after: reached, alive, tell }) : Math.max(reached, events.at(-1)?.position ?? 0);
}
