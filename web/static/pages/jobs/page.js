// Jobs: searched, listed, chosen, acted on. All that was asked stands in the address.

import { html, useEffect, useMemo, useRef } from "../../view.js";
import { may } from "../../data/me.js";
import { now } from "../../data/clock.js";
import { useCounts } from "../../data/counts.js";
import { Export } from "../../parts/export.js";
import { Icon } from "../../parts/icon.js";
import { ErrorBox, Skeleton } from "../../parts/states.js";
import { at, go, setQuery } from "../../frame/router.js";
import { useCommand } from "../../frame/commands.js";
import { useKeys } from "../../frame/keys.js";
import { BulkBar } from "./bulk-bar.js";
import { ColumnsButton } from "./columns-button.js";
import { asked, filtersOf, isId, read, STATES } from "./filters.js";
import { useJobs } from "./list.js";
import { NothingFound } from "./nothing.js";
import { Rows } from "./rows.js";
import { SearchBox } from "./search-box.js";
import { useSelection } from "./selection.js";

const LISTED = new Set(STATES);

// An address may come from a person or the palette: fields in its question are taken out of it.
function chosenOf(query) {
  const filters = filtersOf(query);
  const { q, ...rest } = filters;
  return q ? { ...rest, ...read(q) } : filters;
}

export default function Jobs({ query }) {
  const filters = useMemo(() => chosenOf(query), [JSON.stringify(filtersOf(query))]);
  const list = useJobs(filters);
  const selection = useSelection(list, filters);
  const search = useRef(null);

  useEffect(() => {
    if (!query.focus) return;
    setQuery({ focus: null });
    setTimeout(() => search.current?.focus()); // after the frame has given the focus to the page
  }, [query.focus]);
  function change(changes) {
    if (isId(changes.id ?? "")) return go(`/job/${changes.id.trim().toLowerCase()}`);
    return setQuery({ ...Object.fromEntries(Object.keys(filters).map((name) => [name, null])), ...changes }, { replace: false });
  }
  useKeys({ Escape: selection.any ? selection.clear : undefined, r: list.reload });
  useCommand({ name: "Show failed jobs", icon: "failures", run: () => change({ status: "failed" }) });

  return html`<div class="jobs-page stack">
    <header class="page-head"><h1>Jobs</h1>
      <div class="actions"><${ColumnsButton} /><${Export} path="jobs" query=${() => asked(filters, now())} past /></div></header>
    <${SearchBox} filters=${filters} change=${change} field=${search} />
    <${States} filters=${filters} change=${(status) => change({ ...filters, status })} />
    ${may("operate") && !at.value && html`<${BulkBar} list=${list} selection=${selection} filters=${filters} />`}
    ${list.error && !list.stuck && html`<${ErrorBox} error=${list.error} retry=${list.reload} />`}
    <${News} list=${list} />
    ${list.jobs === null ? !list.error && html`<${Skeleton} rows=${12} />` : html`<${Found} list=${list} selection=${selection} filters=${filters} change=${change} />`}
  </div>`;
}

function States({ filters, change }) {
  const chosen = new Set((filters.status ?? "").split(",").filter((state) => LISTED.has(state)));
  // Asked by the minute: a span that goes on with every second would be another question each time.
  const counted = useCounts(asked(filters, Math.floor(now() / 60_000) * 60_000));
  const tab = (state, label, current) => html`<button type="button" key=${label} aria-pressed=${current} data-state=${label}
    onClick=${() => change(state)}>${label}<span class="count">${counted(label) ?? ""}</span></button>`;
  return html`<div class="segments states" role="group" aria-label="State">
    ${tab(null, "all", chosen.size === 0)}
    ${STATES.map((state) => tab(state, state, chosen.size === 1 && chosen.has(state)))}
  </div>`;
}

// New jobs do not push what one is reading: they wait behind a button that takes no room of its own.
function News({ list }) {
  const { count, more } = list.news;
  return html`<div class="news" role="status">
    ${count > 0 && html`<button type="button" class="new-pill" onClick=${list.reload}><${Icon} name="up-arrow" size=${16} />${count}${more ? "+" : ""} new</button>`}
  </div>`;
}

function Found({ list, selection, filters, change }) {
  if (list.jobs.length === 0 && !list.next) return html`<${NothingFound} filters=${filters} change=${change} />`;
  return html`<${Rows} list=${list} selection=${selection} />`;
}
