// Which jobs are chosen: some by hand, or all that the filters match, also those not read yet.

import { useEffect, useRef, useState } from "../../view.js";

// {ids, all, any, count, has(id), toggle(id, range), clear(), page(), everything()}
export function useSelection(list, filters) {
  const [ids, setIds] = useState(new Set());
  const [all, setAll] = useState(false);
  const last = useRef(null);
  const clear = () => (setIds(new Set()), setAll(false));
  useEffect(clear, [JSON.stringify(filters)]);

  function toggle(id, range = false) {
    const next = new Set(all ? [] : ids);
    const add = !next.has(id);
    for (const one of range ? between(list.jobs, last.current, id) : [id]) add ? next.add(one) : next.delete(one);
    last.current = id;
    setIds(next);
    setAll(false);
  }

  return {
    ids, all, clear, toggle,
    any: all || ids.size > 0,
    count: all ? null : ids.size,
    has: (id) => all || ids.has(id),
    whole: all || (list.jobs?.length > 0 && list.jobs.every((job) => ids.has(job.id))),
    page: () => setIds(new Set(list.jobs.map((job) => job.id))),
    everything: () => setAll(true),
  };
}

// The ids from one row to another, both with.
function between(jobs, from, to) {
  const places = [from, to].map((id) => jobs.findIndex((job) => job.id === id));
  if (places.includes(-1)) return [to];
  return jobs.slice(Math.min(...places), Math.max(...places) + 1).map((job) => job.id);
}
