// The time bar: drag to a moment, step event by event, play the past, jump to what happened, return to now. All
// pages show the moment; the address holds it (`at`), the span (`bar`) and the speed (`play`).

import { html, useEffect, useRef, useState } from "../view.js";
import { get } from "../data/api.js";
import { present, second, then } from "../data/clock.js";
import { exact, stamp } from "../data/format.js";
import { live } from "../data/live.js";
import { playAt } from "../data/player.js";
import { zone } from "../data/prefs.js";
import { Icon } from "../parts/icon.js";
import { useKeys } from "./keys.js";
import { jump, Marks, useMarks } from "./marks.js";
import { moveSpan, open, seek, shownSpan, SPANS, spanName, step, toggle, toNow } from "./moment.js";
import { at, bar, play, setQuery } from "./router.js";
import { failed } from "./toasts.js";

const SPEEDS = [1, 10, 60, 100, 1000];
const OFTEN = 200; // ms between two moments while one drags
const NEAR = 5000; // ms: a span that ends so near to now ends now

export function TimeButton() {
  const label = open.value ? "Close the time bar" : "Open the time bar";
  return html`<button type="button" class="icon-button" title=${`${label} (t)`} aria-label=${label} aria-expanded=${open.value}
    onClick=${toggle}><${Icon} name="history" /></button>`;
}

export function TimeBar() {
  useKeys({ t: toggle, ...(open.value ? { ",": () => stepped(-1), ".": () => stepped(1) } : {}) });
  return open.value ? html`<${Strip} />` : null;
}

const stepped = (direction) => step(direction).catch(failed);

function Strip() {
  second.value; // now goes on
  const [from, to] = shownSpan();
  const marks = useMarks(from, to);
  return html`<section class="time-bar" aria-label="Time bar">
    <div class="time-controls">
      <button type="button" class="live-button" aria-pressed=${!at.value} title="Back to now" onClick=${toNow}><i />Live</button>
      <${Button} icon="right" flip label="Event before (,)" run=${() => stepped(-1)} />
      <${Play} from=${from} />
      <${Button} icon="right" label="Event after (.)" run=${() => stepped(1)} disabled=${!at.value} />
      <${Jumps} marks=${marks} />
      <${Moment} />
      <${Span} />
    </div>
    <${Track} from=${from} to=${to} marks=${marks} />
  </section>`;
}

function Button({ icon, flip, label, run, disabled }) {
  return html`<button type="button" class=${`icon-button ${flip ? "flip" : ""}`} title=${label} aria-label=${label.replace(/ \(.\)$/, "")}
    disabled=${disabled} onClick=${run}><${Icon} name=${icon} /></button>`;
}

function Play({ from }) {
  const speed = useRef(10);
  if (play.value) speed.current = play.value;
  const start = () => (at.value ? playAt(speed.current) : setQuery({ at: new Date(from).toISOString(), play: speed.current }));
  const label = play.value ? "Stop" : at.value ? "Play" : "Play this span";
  return html`<button type="button" class="icon-button" title=${label} aria-label=${label} onClick=${() => (play.value ? playAt(null) : start())}>
      <${Icon} name=${play.value ? "pause" : "play"} /></button>
    <select aria-label="Speed" value=${speed.current} onChange=${({ target }) => ((speed.current = Number(target.value)), play.value && playAt(speed.current))}>
      ${SPEEDS.map((one) => html`<option key=${one} value=${one}>${one}×</option>`)}</select>`;
}

function Jumps({ marks }) {
  const moment = then.value ?? Infinity;
  const before = marks.findLast((mark) => Date.parse(mark.at) < moment);
  const after = marks.find((mark) => Date.parse(mark.at) > moment);
  return html`<span class="time-jumps"><button type="button" disabled=${!before} onClick=${() => jump(before)}>Incident before</button>
    <button type="button" disabled=${!after} onClick=${() => jump(after)}>after</button></span>`;
}

// The moment in words, and the event that happened there when it is one's position.
function Moment() {
  const event = useEvent(/^\d+$/.test(at.value ?? "") ? Number(at.value) : null);
  if (!at.value) return html`<output class="time-said">Now</output>`;
  const what = event ? html`<b>${event.type.replaceAll("_", " ")}</b>${event.queue ? ` in ${event.queue}` : ""}` : "";
  return html`<output class="time-said"><time>${then.value ? stamp(then.value, zone.value) : "…"}</time>
    <span class="dim">position ${exact(live.position.value)}</span> ${what}</output>`;
}

function useEvent(position) {
  const [event, setEvent] = useState(null);
  useEffect(() => {
    setEvent(null);
    if (!position) return undefined;
    const asked = new AbortController();
    get("events", { after: position - 1, limit: 1, at: null }, { signal: asked.signal })
      .then(({ events }) => setEvent(events[0]?.position === position ? events[0] : null), () => {});
    return () => asked.abort();
  }, [position]);
  return event;
}

function Span() {
  return html`<span class="time-span"><${Button} icon="right" flip label="Earlier" run=${() => moveSpan(-0.5)} />
    <select aria-label="Span of the time bar" value=${spanName.value} onChange=${({ target }) => setQuery({ bar: target.value })}>
      ${Object.entries(SPANS).map(([key, [, name]]) => html`<option key=${key} value=${key}>${name}</option>`)}</select>
    <${Button} icon="right" label="Later" run=${() => moveSpan(0.5)} disabled=${!at.value} /></span>`;
}

// Dragging goes to a moment at most every OFTEN ms, and to the last one always.
function Track({ from, to, marks }) {
  const [drawn, setDrawn] = useState(null); // where the hand is, until the page is there
  const timer = useRef(0);
  useEffect(() => setDrawn(null), [then.value, at.value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const value = drawn ?? then.value ?? to;
  const step = Math.max(1, Math.round((to - from) / 1000));
  const go = (time) => (time + step >= to && to + NEAR > present() ? toNow() : seek(time));
  function drag({ target }) {
    const time = Number(target.value);
    setDrawn(time);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => go(time), OFTEN);
  }
  return html`<div class="time-track">
    <${Marks} marks=${marks} from=${from} to=${to} />
    <input type="range" aria-label="Moment" aria-valuetext=${at.value || drawn ? stamp(value, zone.value) : "now"}
      min=${Math.floor(from)} max=${Math.ceil(to)} step=${step} value=${value} onInput=${drag} />
    <div class="time-ends" aria-hidden="true"><span>${stamp(from, zone.value).slice(0, 16)}</span><span>${bar.value || at.value ? stamp(to, zone.value).slice(0, 16) : ""}</span></div>
  </div>`;
}
