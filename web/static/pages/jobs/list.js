// The pages of the list that were read so far, kept true by the feed. Rows change where they stand; none comes
// or goes by itself.

import { useEffect, useRef, useState } from "../../view.js";
import { get } from "../../data/api.js";
import { now } from "../../data/clock.js";
import { onJobs, onReset } from "../../data/live.js";
import { useListener } from "../../data/use.js";
import { at } from "../../frame/router.js";
import { asked, fits } from "./filters.js";

const PAGE = 100;
const MOST_NEWS = 999;

// {jobs: null while nothing is known, next, error, loading, news: {count, more}, more(), reload()}; `stuck`: what
// did not come, for `error`, is a further page.
export function useJobs(filters) {
  const key = JSON.stringify([filters, at.value]);
  const [state, setState] = useState({ key, jobs: null, next: null, error: null, loading: true });
  const [news, setNews] = useState({ count: 0, more: false });
  const known = useRef({});
  const run = useRef(null);
  known.current = known.current.key === key ? known.current : { key, index: new Map(), fresh: new Set(), told: 0 };

  async function fetchPage(after) {
    run.current?.abort();
    const mine = (run.current = new AbortController());
    setState((old) => ({ ...old, loading: true }));
    try {
      // The list is a projection: it must have reached the news that lead here.
      const wait = !after && known.current.fresh.size && !at.value ? { after_position: known.current.told } : {};
      const page = await get("jobs", { ...asked(filters, now()), limit: PAGE, after, ...wait }, { signal: mine.signal });
      if (run.current === mine) put(page, after);
    } catch (error) {
      if (error.name !== "AbortError" && run.current === mine) setState((old) => ({ ...old, key, error, stuck: !!after, loading: false }));
    }
  }

  function put(page, after) {
    if (!after) known.current.index.clear();
    for (const job of page.jobs) known.current.index.set(job.id, job);
    const jobs = [...known.current.index.values()];
    setState({ key, jobs, next: page.next, error: null, loading: false, read: now() });
    if (!after) known.current.fresh.clear(), setNews({ count: 0, more: false });
  }

  function onUpdates(updates) {
    const { index, fresh } = known.current;
    let changed = false;
    for (const update of updates) {
      const job = index.get(update.id);
      if (job) changed = changes(index, job, update) || changed;
      else if (isNews(filters, update)) {
        known.current.told = update.position;
        if (fresh.size < MOST_NEWS) fresh.add(update.id);
      }
    }
    if (changed) setState((old) => (old.jobs ? { ...old, jobs: old.jobs.map((job) => index.get(job.id) ?? job) } : old));
    if (fresh.size !== news.count) setNews({ count: fresh.size, more: fresh.size >= MOST_NEWS });
  }

  useEffect(() => {
    fetchPage();
    return () => run.current?.abort();
  }, [key]);
  useListener(onJobs, onUpdates);
  // After a gap in the stream: what is shown is read again, unless one is deep in the list.
  useListener(onReset, () => {
    if (at.value || !state.jobs || state.jobs.length > PAGE) return;
    known.current.fresh.clear();
    fetchPage();
  });

  const mine = state.key === key ? state : { ...state, jobs: state.jobs, loading: true };
  return { ...mine, news, more: () => mine.next && !mine.loading && fetchPage(mine.next), reload: () => fetchPage() };
}

// A job that came into the list's sight: new, or new in the state that is asked for.
function isNews(filters, update) {
  if (update.event === "progressed") return false;
  if (!filters.status && update.event !== "enqueued") return false;
  return fits(filters, update) === true;
}

function changes(index, job, update) {
  if (job.version >= update.version) return false;
  const { metadata, ...rest } = update;
  index.set(job.id, { ...job, ...rest, metadata: { ...job.metadata, ...metadata } });
  return true;
}
