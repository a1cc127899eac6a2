// Follows the event log: the newest events that fit the filter, and new ones as they come. The feed tells that
// there is more; the events themselves are read from the log, so queues', workers' and the system's are there too.

import { effect, useEffect, useRef, useState } from "../../view.js";
import { get } from "../../data/api.js";
import { live } from "../../data/live.js";
import { at } from "../../frame/router.js";
import { above, below } from "./span.js";

const FIRST = 300; // events that are shown at first, when nothing is filtered
const SPAN = 20_000; // positions that the server looks at for one filtered answer
const PAGE = 500;
const FULL = 1000; // events in one answer
const PAUSE = 700; // ms between two readings
const AGAIN = 3000; // and after an error

// Nothing is known yet. `error`: of following, `stuck`: of looking further back, `looked`: what that found last.
const NOTHING = { span: null, looked: null, error: null, stuck: null, looking: false };

export function useLog({ operator, ...filter }) {
  const [state, setState] = useState(NOTHING);
  const run = useRef(0);
  const looking = useRef(null); // the run that looks further back
  // In the past the log ends where the moment is, which an answer tells after the address.
  const key = JSON.stringify([filter, operator, at.value, at.value && live.position.value]);
  const narrowed = Object.values(filter).some(Boolean);

  useEffect(() => {
    const mine = ++run.current;
    const alive = () => run.current === mine;
    const tell = (change) => alive() && setState((old) => ({ ...old, ...change(old) }));
    setState(NOTHING);
    follow({ read: operator ? people(filter) : everything(filter, narrowed), alive, tell });
    return () => run.current++;
  }, [key]);

  // Below a position. Asked again while it is under way, it is the same question.
  async function older(oldest) {
    const mine = run.current;
    if (looking.current === mine) return;
    looking.current = mine;
    const tell = (change) => run.current === mine && setState((old) => ({ ...old, ...change(old) }));
    tell(() => ({ looking: true, stuck: null }));
    try {
      const looked = await (operator ? olderOfPeople(filter, oldest) : olderOfAll(filter, narrowed ? SPAN : PAGE, oldest));
      tell((old) => ({ looked, span: below(old.span, looked) }));
    } catch (error) {
      tell(() => ({ stuck: error }));
    }
    tell(() => ({ looking: false }));
    if (looking.current === mine) looking.current = null;
  }
  return { ...state, older };
}

// When an answer cannot hold all that fits, one looks less far: nothing is passed over.
async function olderOfAll(query, span, oldest) {
  const from = Math.max(0, oldest - span);
  const { events, next } = await get("events", { ...query, after: from, limit: FULL });
  if (next != null && next < oldest) return olderOfAll(query, Math.floor(span / 2), oldest);
  return { events: events.filter(({ position }) => position <= oldest).reverse(), from, upto: oldest };
}

async function olderOfPeople(filter, oldest) {
  const { events, next } = await get("events", { ...filter, kind: "operator", before: oldest + 1, limit: PAGE });
  return { events, from: beforeOf(next), upto: oldest };
}

const beforeOf = (next) => Math.max(0, (next ?? 1) - 1);

// Takes part after part, each from where the one before ended, also when one did not come. Reads whenever there is
// more, and once more after an error; the past does not grow.
async function follow({ read, alive, tell }) {
  let reached = null;
  while (alive() && !live.position.peek()) await moved(0);
  while (alive()) {
    const seen = live.position.peek();
    try {
      const part = await read(reached, seen);
      tell(({ span }) => ({ error: null, span: above(span, part) }));
      reached = part.upto;
      if (part.more) continue;
      if (at.peek()) return;
      await Promise.all([moved(seen), pause(PAUSE)]);
    } catch (error) {
      tell(() => ({ error }));
      await pause(AGAIN);
    }
  }
}

const pause = (duration) => new Promise((resolve) => setTimeout(resolve, duration));

// The log has another end than what was seen, and one wants to see it.
function moved(seen) {
  return new Promise((resolve) => {
    const stop = effect(() => {
      if (live.position.value !== seen && !live.paused.value) resolve(), setTimeout(() => stop());
    });
  });
}

// What people do is found from its newest on, however long the log is; what one answer does not hold begins anew.
const people = (filter) => async (after, head) => {
  const bounds = after === null ? { before: head + 1, limit: FIRST } : { after, limit: FULL };
  const { events, next } = await get("events", { ...filter, kind: "operator", ...bounds });
  return { events, from: Math.max(beforeOf(next), after ?? 0), upto: Math.max(head, events[0]?.position ?? 0) };
};

// The newest that there are, then what came after them. A job's story is found wherever it is; what is too much to
// be read by anybody is passed over.
const everything = (filter, narrowed) => async (after, head) => {
  if (after === null) return olderOfAll(filter, filter.job ? head : narrowed ? SPAN : FIRST, head);
  const from = narrowed ? after : Math.max(after, head - 2 * PAGE);
  const { events, next } = await get("events", { ...filter, after: from, limit: FULL });
  const upto = next ?? Math.max(from, head, events.at(-1)?.position ?? 0);
  return { events: events.reverse(), from, upto, more: next != null && narrowed };
};
