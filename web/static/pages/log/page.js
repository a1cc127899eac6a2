// The event log as it grows: every transition, who did it, and when.

import { html, useRef, useState } from "../../view.js";
import { live } from "../../data/live.js";
import { clock, exact, number, plural, stamp } from "../../data/format.js";
import { zone } from "../../data/prefs.js";
import { setQuery } from "../../frame/router.js";
import { useHeld } from "../../parts/held.js";
import { Export } from "../../parts/export.js";
import { Empty, ErrorBox, Skeleton } from "../../parts/states.js";
import { JobLink, QueueLink } from "../../parts/values.js";
import { Windowed } from "../../parts/windowed.js";
import { Filters } from "./filters.js";
import { useLog } from "./follow.js";
import { below, partOf } from "./span.js";
import { about, actorOf, isJob, openEvent, toneOf } from "./event.js";

const FILE = 100_000; // rows
const HEIGHT = matchMedia("(max-width: 760px)").matches ? 58 : 34;

export default function Log({ query }) {
  const { type, queue, actor } = query;
  const operator = query.operator === "1";
  const filter = { type, queue, actor, ...(operator ? {} : { job: query.job }) };
  const log = useLog({ ...filter, operator });
  return html`<div class="page-head"><h1>Log</h1>
      <span class="dim">at position ${exact(live.position.value)}</span>
      <div class="actions"><${Export} path="events" query=${() => exported(filter, operator)} /></div></div>
    <${Filters} query=${query} />
    <section class="panel log" aria-label="Events">
      ${log.error && html`<${ErrorBox} error=${log.error} />`}
      ${log.span ? html`<${List} log=${log} />` : !log.error && html`<${Skeleton} rows=${14} height=${34} />`}
    </section>`;
}

// Everything: the newest that fit into a file. Else whatever the filter finds.
function exported(filter, operator) {
  if (operator) return { ...filter, kind: "operator" };
  return Object.values(filter).some(Boolean) ? filter : { after: Math.max(0, live.position.peek() - FILE) };
}

function List({ log }) {
  const [atTop, setAtTop] = useState(true);
  const away = useRef(null); // what is shown to who scrolled down: it grows at its old end only
  const [held, place] = useHeld(log.span);
  const shown = grown(atTop ? held : away.current ?? held, log);
  away.current = atTop ? null : shown;
  const newer = countNewer(log.span.events, shown.events[0]);
  const toTop = () => (place.current.scrollTo({ top: 0 }), setAtTop(true));
  if (!log.span.events.length && !log.span.oldest) return html`<${Nothing} />`;
  return html`${newer > 0 && html`<button type="button" class="new-pill" onClick=${toTop}>${number(newer)} new</button>`}
    <${Windowed} rows=${shown.events} height=${HEIGHT} keyOf=${(event) => event.position} row=${(event) => html`<${Row} event=${event} />`}
      label="Events, newest first" onTop=${setAtTop} place=${place} />
    <${End} log=${log} span=${shown} />`;
}

// How far back it was looked, also when nothing was found there.
function End({ log: { older, looking, stuck }, span: { events, oldest } }) {
  const further = () => older(oldest);
  if (stuck) return html`<${ErrorBox} error=${stuck} retry=${further} />`;
  const label = looking ? "Looking" : oldest ? "Look further back" : "This is the beginning";
  return html`<footer class="log-end"><span class="dim">${plural(events.length, "event")}${oldest > 0 && `, back to position ${exact(oldest + 1)}`}</span>
    <button type="button" disabled=${!oldest || looking} onClick=${further}>${label}</button></footer>`;
}

// Older events that were asked for are added to a list that is held, also where the followed one was cut meanwhile.
function grown(span, log) {
  return below(log.looked ? below(span, log.looked) : span, partOf(log.span));
}

function countNewer(all, first) {
  if (!first) return 0;
  const found = all.findIndex(({ position }) => position <= first.position);
  return found < 0 ? all.length : found;
}

function Row({ event }) {
  return html`<div class="event" data-position=${event.position}>
    <span class="event-at" title=${stamp(event.recorded_at, zone.value)}>${clock(event.recorded_at, zone.value)}</span>
    <button type="button" class="event-type" onClick=${() => openEvent(event)} title=${`Position ${exact(event.position)}`}><i class=${`dot ${toneOf(event.type)}`} />${event.type.replaceAll("_", " ")}</button>
    <span class="event-of">${event.queue && html`<${QueueLink} name=${event.queue} />`} ${isJob(event) && html`<${JobLink} id=${event.job} />`}</span>
    <button type="button" class="event-who" title=${`Only ${event.actor}`} onClick=${() => setQuery({ actor: event.actor })}>${actorOf(event)}</button>
    <span class="event-about" title=${about(event)}>${about(event)}</span></div>`;
}

function Nothing() {
  return html`<${Empty} title="No event fits" icon="log"><p>Take a filter away, or wait: what happens is shown as it happens.</p><//>`;
}
