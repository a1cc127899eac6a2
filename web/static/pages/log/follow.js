// Follows the event log: the newest events that fit the filter, and new ones as they come. The feed tells that
// there is more; the events themselves are read from the log, so queues', workers' and the system's are there too.

import { effect, useEffect, useRef, useState } from "../../view.js";
import { get } from "../../data/api.js";
import { live } from "../../data/live.js";
import { at } from "../../frame/router.js";

const FIRST = 300; // events that are shown at first, when nothing is filtered
const SPAN = 20_000; // positions that the server looks at for one filtered answer
const MOST = 3000; // events kept, and those that were looked for further back
const PAGE = 500;
const PAUSE = 700; // ms between two readings
const AGAIN = 3000; // and after an error

// Nothing is known yet. `oldest`: what is older was not read; `error`: of following, `stuck`: of looking further back.
const NOTHING = { events: null, skipped: 0, oldest: 0, most: MOST, error: null, stuck: null, looking: false };

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
    const tell = (change) => alive() && setState(change);
    setState(NOTHING);
    if (operator) followPeople({ query: { ...filter, kind: "operator" }, alive, tell });
    else follow({ query: filter, narrowed, alive, tell });
    return () => run.current++;
  }, [key]);

  // Asked again while it is under way, it is the same question.
  async function older() {
    const mine = run.current;
    if (looking.current === mine) return;
    looking.current = mine;
    const tell = (change) => run.current === mine && setState((old) => ({ ...old, ...change(old) }));
    tell(() => ({ looking: true, stuck: null }));
    try {
      const { events, oldest } = await (operator ? olderOfPeople(filter, state.oldest) : olderOfAll(filter, narrowed ? SPAN : PAGE, state.oldest));
      tell((old) => ({ events: [...old.events, ...events], most: old.most + events.length, oldest }));
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
  const { events, next } = await get("events", { ...query, after: from, limit: 1000 });
  if (next != null && next < oldest) return olderOfAll(query, Math.floor(span / 2), oldest);
  return { events: events.filter(({ position }) => position <= oldest).reverse(), oldest: from };
}

async function olderOfPeople(filter, oldest) {
  const { events, next } = await get("events", { ...filter, kind: "operator", before: oldest + 1, limit: PAGE });
  return { events, oldest: beforeOf(next) };
}

const beforeOf = (next) => Math.max(0, (next ?? 1) - 1);

// What came, before what is there. What falls out at the end can be looked for again.
function joined(found, { events: had, most, oldest }) {
  const all = [...found, ...(had ?? [])];
  return all.length > most ? { events: all.slice(0, most), oldest: all[most - 1].position - 1 } : { events: all, oldest };
}

// What people do is found from its newest on, however long the log is.
function followPeople({ query, alive, tell }) {
  let newest = null;
  return repeated({ alive, tell }, async () => {
    const first = newest === null;
    const bounds = first ? { before: live.position.peek() + 1 } : { after: newest };
    const { events, next } = await get("events", { ...query, ...bounds, limit: first ? FIRST : 1000 });
    newest = events[0]?.position ?? newest ?? 0;
    tell((old) => ({ ...old, error: null, ...joined(events, first ? { ...old, oldest: beforeOf(next) } : old) }));
  });
}

function follow({ query, narrowed, alive, tell }) {
  let after = null;
  return repeated({ alive, tell }, async () => {
    after = after === null ? await begin({ query, narrowed, tell }) : await step({ query, narrowed, after, alive, tell });
  });
}

// Reads whenever there is more, and once more after an error; the past does not grow.
async function repeated({ alive, tell }, read) {
  while (alive() && !live.position.peek()) await moved(0);
  while (alive()) {
    const seen = live.position.peek();
    try {
      await read();
      if (at.peek()) return;
      await Promise.all([moved(seen), pause(PAUSE)]);
    } catch (error) {
      tell((old) => ({ ...old, events: old.events ?? [], error }));
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

// The newest that there are; a job's story is found wherever it is.
async function begin({ query, narrowed, tell }) {
  const head = live.position.peek();
  const { events, oldest } = await olderOfAll(query, query.job ? head : narrowed ? SPAN : FIRST, head);
  tell((old) => ({ ...old, error: null, events, oldest }));
  return head;
}

// Reads what came after a position; what is too much to be read by anybody is skipped, and counted.
async function step({ query, narrowed, after, alive, tell }) {
  const head = live.position.peek();
  const skipped = narrowed ? 0 : Math.max(0, head - after - 2 * PAGE);
  const { events, next } = await get("events", { ...query, after: after + skipped, limit: 1000 });
  const found = [...events].reverse();
  tell((old) => ({ ...old, error: null, skipped: old.skipped + skipped, ...joined(found, old) }));
  const reached = next ?? Math.max(events.at(-1)?.position ?? 0, after, head);
  const goesOn = next && alive() && narrowed;
  return goesOn ? step({ query, narrowed, after: reached, alive, tell }) : Math.max(reached, events.at(-1)?.position ?? 0);
}
