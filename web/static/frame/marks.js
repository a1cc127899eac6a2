// What happened in the span of the time bar that explains the rest: pauses, deploys, lost workers, bursts of failures.

import { html, useEffect, useState } from "../view.js";
import { get } from "../data/api.js";
import { then } from "../data/clock.js";
import { exact, plural, stamp } from "../data/format.js";
import { zone } from "../data/prefs.js";
import { match, route } from "./router.js";
import { seek, seekPosition } from "./moment.js";

const TOGETHER = 0.012; // of a span: marks that are so near are one
const TOLD = 12; // marks of one that are told
const STEPS = 60; // of a span: so often it is read again while it moves

const WORDS = {
  paused: ["warn", ({ queue }) => `${queue} paused`],
  resumed: ["good", ({ queue }) => `${queue} resumed`],
  drained: ["warn", ({ queue }) => `${queue} drained`],
  configured: ["", ({ queue }) => `${queue ?? "the system"} configured`],
  workers_started: ["info", ({ count }) => `${plural(count, "worker")} started`],
  workers_lost: ["bad", ({ count }) => `${plural(count, "worker")} lost`],
  failures: ["bad", ({ count, queue }) => `${exact(count)} failed attempts in ${queue}`],
};

export function told(mark) {
  const words = WORDS[mark.kind]?.[1](mark) ?? mark.kind;
  const who = mark.actor ? ` by ${mark.actor.replace(/^user:/, "")}` : "";
  return `${words}${who}, ${stamp(mark.at, zone.value)}`;
}

export const jump = (mark) => (mark.position ? seekPosition(mark.position) : seek(Date.parse(mark.at)));

// Those of [from, to], the oldest first.
export function useMarks(from, to) {
  const [marks, setMarks] = useState([]);
  const grid = (to - from) / STEPS;
  const [low, high] = [Math.floor(from / grid) * grid, Math.ceil(to / grid) * grid];
  const queue = match("/queue/:name", route.value.path)?.name;
  useEffect(() => {
    const asked = new AbortController();
    const query = { from: new Date(low).toISOString(), to: new Date(high).toISOString(), queue, limit: 500, at: null };
    get("incidents", query, { signal: asked.signal }).then(({ incidents }) => setMarks(incidents), () => {});
    return () => asked.abort();
  }, [low, high, queue]);
  return marks;
}

const timeOf = (mark) => Date.parse(mark.at);

// Marks that would cover each other are one, and stand where its first does.
function grouped(marks, from, to) {
  const groups = [];
  for (const mark of marks) {
    const [group, time] = [groups.at(-1), timeOf(mark)];
    if (time < from || time > to) continue;
    if (group && time - timeOf(group[0]) < (to - from) * TOGETHER) group.push(mark);
    else groups.push([mark]);
  }
  return groups;
}

// Of several the first; when one is there already, the next.
function jumpWithin(group) {
  jump(group.find((mark) => timeOf(mark) > (then.value ?? Infinity)) ?? group[0]);
}

const RANK = ["", "good", "info", "warn", "bad"];
const toneOf = (group) => group.map(({ kind }) => WORDS[kind]?.[0] ?? "").sort((a, b) => RANK.indexOf(b) - RANK.indexOf(a))[0];

export function Marks({ marks, from, to }) {
  return html`<ul class="time-marks" aria-label="What happened">${grouped(marks, from, to).map((group) => {
    const left = (100 * (timeOf(group[0]) - from)) / (to - from);
    const said = group.slice(0, TOLD).map(told).join("\n") + (group.length > TOLD ? `\nand ${group.length - TOLD} more` : "");
    return html`<li key=${group[0].kind + group[0].at + group[0].queue} style=${{ left: `${left}%` }}>
      <button type="button" class=${toneOf(group)} data-mark=${group.map(({ kind }) => kind).join(" ")} title=${said} aria-label=${said}
        onClick=${() => jumpWithin(group)} /></li>`;
  })}</ul>`;
}
