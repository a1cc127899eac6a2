// The rows, of which only those near the window are there: a list of a hundred thousand costs what thirty cost.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../view.js";
import { may } from "../../data/me.js";
import { go } from "../../frame/router.js";
import { useKeys } from "../../frame/keys.js";
import { ownsEnter } from "../../frame/row-keys.js";
import { ErrorBox } from "../../parts/states.js";
import { shown } from "./columns.js";
import { Row } from "./row.js";

const HEIGHT = { table: 40, cards: 104 };
const BEYOND = 8; // rows kept ready above and below
const NEAR = 30; // rows before the end: more is read then
const AGAIN = 3000; // ms until a page that did not come is asked for again
const narrow = matchMedia("(max-width: 720px)");

export function Rows({ list, selection }) {
  const { jobs, next } = list;
  const body = useRef(null);
  const height = useRowHeight();
  const [from, to] = useWindow(body, jobs.length, height);
  const [current, setCurrent] = useState(0);
  const columns = shown();
  const chooses = may("operate");

  useNextPage(list, to);
  const step = (by) => {
    const place = Math.min(jobs.length - 1, Math.max(0, current + by));
    setCurrent(place);
    reveal(body.current, place, height);
  };
  const here = jobs[Math.min(current, jobs.length - 1)];
  useKeys({
    j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1),
    x: () => chooses && selection.toggle(here.id),
    X: () => chooses && selection.toggle(here.id, true),
    get Enter() { return ownsEnter() ? undefined : this.o; }, // asked when the key comes: the focus may have moved
    o: () => go(`/job/${here.id}`),
  });

  return html`<div class="jobs-table" role="table" aria-label="Jobs" aria-rowcount=${next ? -1 : jobs.length + 1}>
    <div role="rowgroup"><div class="jobs-head jobs-row" role="row">
      ${chooses && html`<span role="columnheader" class="choose"><input type="checkbox" aria-label="Choose all that are listed"
        checked=${selection.whole} onChange=${(event) => (event.target.checked ? selection.page() : selection.clear())} /></span>`}
      <span role="columnheader" class="cell type">Type</span>
      ${columns.map(({ name, title, wide, number }) => html`<span role="columnheader" key=${name} class=${`cell ${name} ${wide ? "wide" : ""} ${number ? "number" : ""}`}>${title}</span>`)}
    </div></div>
    <div class="jobs-body" role="rowgroup" ref=${body} style=${{ height: `${jobs.length * height}px` }}>
      ${jobs.slice(from, to).map((job, n) => html`<${Row} key=${job.id} job=${job} columns=${columns} top=${(from + n) * height} place=${from + n}
        chooses=${chooses} chosen=${selection.has(job.id)} current=${from + n === current} toggle=${selection.toggle} />`)}
    </div>
    <${End} list=${list} />
  </div>`;
}

function End({ list: { jobs, next, loading, error, stuck, more } }) {
  if (error && stuck) return html`<${ErrorBox} error=${error} retry=${more} />`;
  return html`<p class="list-end dim">${loading ? "Reading more" : next ? "" : `${jobs.length === 1 ? "One job" : `All ${jobs.length} jobs`}, no more`}</p>`;
}

// Whoever comes near the end gets more. Also when something else was being read just then, such as the first page once
// more because the stream began: so what is asked for depends on `loading` too.
function useNextPage({ jobs, next, loading, error, more }, to) {
  useEffect(() => {
    if (!next || loading || to < jobs.length - NEAR) return undefined;
    if (!error) return void more();
    const timer = setTimeout(more, AGAIN);
    return () => clearTimeout(timer);
  }, [to, jobs.length, next, loading, error]);
}

function useRowHeight() {
  const [cards, setCards] = useState(narrow.matches);
  useEffect(() => {
    const changed = () => setCards(narrow.matches);
    narrow.addEventListener("change", changed);
    return () => narrow.removeEventListener("change", changed);
  }, []);
  return cards ? HEIGHT.cards : HEIGHT.table;
}

// The rows in sight, [from, to), measured when something scrolls, at most once a frame.
function useWindow(body, count, height) {
  const [range, setRange] = useState([0, 40]);
  useLayoutEffect(() => {
    let asked = 0;
    const measure = () => {
      asked = 0;
      if (!body.current) return;
      const above = -body.current.getBoundingClientRect().top;
      const from = Math.max(0, Math.floor(above / height) - BEYOND);
      const to = Math.min(count, Math.ceil((above + innerHeight) / height) + BEYOND);
      setRange((old) => (old[0] === from && old[1] === to ? old : [from, Math.max(from, to)]));
    };
    const soon = () => (asked ||= requestAnimationFrame(measure));
    measure();
    document.addEventListener("scroll", soon, { capture: true, passive: true });
    addEventListener("resize", soon);
    return () => {
      cancelAnimationFrame(asked);
      document.removeEventListener("scroll", soon, { capture: true });
      removeEventListener("resize", soon);
    };
  }, [count, height]);
  return range;
}

// The row may not be there yet: its place is known all the same.
function reveal(body, place, height) {
  const top = body.getBoundingClientRect().top + place * height;
  const margin = 130; // the bars above the list
  if (top < margin) scrollBy(0, top - margin);
  else if (top + height > innerHeight - 20) scrollBy(0, top + height - innerHeight + 60);
}
