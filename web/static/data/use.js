// Reading from the server in a component.
//
//   const jobs = useData("jobs", {status: "failed"}, {every: 30});
//   jobs.data, jobs.error, jobs.loading, jobs.reload()

import { useEffect, useRef, useState } from "../view.js";
import { at } from "../frame/router.js";
import { get } from "./api.js";
import { live, onReset } from "./live.js";

// `path` null reads nothing. `every`: seconds between readings while the page is seen and not paused. `reset`: read
// again when the feed begins anew. The last data stay while the same is read again, also of another moment, and with
// `keep` also when something else is: nothing jumps.
export function useData(path, query = {}, { every = 0, reset = true, keep = false } = {}) {
  const what = JSON.stringify([path, query]);
  const key = `${what} ${at.value}`;
  const [state, setState] = useState({ what, data: null, error: null, loading: true });
  const asked = useRef(null);

  async function read() {
    asked.current?.abort();
    if (path == null) return;
    const mine = (asked.current = new AbortController());
    try {
      const data = await get(path, query, { signal: mine.signal });
      setState({ what, data, error: null, loading: false });
    } catch (error) {
      if (error.name === "AbortError" || asked.current !== mine) return;
      setState((old) => ({ what, data: keep || old.what === what ? old.data : null, error, loading: false }));
    }
  }

  useEffect(() => {
    setState((old) => ({ what, data: keep || old.what === what ? old.data : null, error: null, loading: path != null }));
    read();
    return () => asked.current?.abort();
  }, [key]);
  // In the past every reset comes with another moment, which is read anyway.
  useEffect(() => (reset ? onReset(() => at.value || read()) : undefined), [key]);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => document.hidden || live.paused.value || at.value || read(), every * 1000);
    return () => clearInterval(timer);
  }, [key, every]);

  return { ...state, reload: read };
}

// A listener for as long as the component is there: useListener(onJobs, (updates) => ...).
export function useListener(subscribe, listener) {
  const newest = useRef(listener);
  newest.current = listener;
  useEffect(() => subscribe((said) => newest.current(said)), [subscribe]);
}
