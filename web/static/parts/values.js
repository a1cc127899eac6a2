// Small values: a time, a status, an id, a link to a queue.

import { computed, html, useComputed } from "../view.js";
import { now, second } from "../data/clock.js";
import { ago, duration, shortId, stamp } from "../data/format.js";
import { live } from "../data/live.js";
import { zone } from "../data/prefs.js";
import { href } from "../frame/router.js";

// "3 min ago", the exact time on hover and for machines.
export function Time({ of }) {
  const text = useComputed(() => (second.value, of ? ago(Date.parse(of), now()) : "–"));
  if (!of) return html`<span class="dim">–</span>`;
  return html`<time datetime=${of} title=${stamp(of, zone.value)}>${text}</time>`;
}

// How long since a time, running.
export function Since({ of }) {
  if (!of) return html`<span class="dim">–</span>`;
  return html`<time datetime=${of} title=${stamp(of, zone.value)}>${sinceText(of)}</time>`;
}

const sinceText = (of) => (second.value, duration(Math.max(0, (now() - Date.parse(of)) / 1000)));

export function Status({ of, cancelling }) {
  return html`<span class=${`status ${of}`}><i />${cancelling ? "cancelling" : of}</span>`;
}

// The last 8 characters: the first ones are the same for all jobs of a minute.
export function JobLink({ id, children }) {
  return html`<a class="id" href=${href(`/job/${id}`)} title=${id}>${children ?? shortId(id)}</a>`;
}

// Changes only when a queue comes or goes, not with the figures of each.
const names = computed(() => live.queues.value && JSON.stringify(Object.keys(live.queues.value)));
const there = computed(() => names.value && new Set(JSON.parse(names.value)));

// A deleted queue's name leads to its jobs: it has no page any more.
export function QueueLink({ name }) {
  const gone = there.value && !there.value.has(name);
  const to = gone ? href("/jobs", { queue: name }) : href(`/queue/${encodeURIComponent(name)}`);
  return html`<a class="queue-link" title=${gone ? `${name}, deleted` : name} href=${to}>${name}${gone && html` <small>deleted</small>`}</a>`;
}

// A share of 1 as a bar with its words beside it.
export function Meter({ share, label, tone = "" }) {
  const width = Math.max(0, Math.min(100, 100 * (share ?? 0)));
  return html`<span class=${`meter ${tone}`} role="img" aria-label=${label}><i style=${{ width: `${width}%` }} /></span>`;
}

// Why something that a job carries is not shown, in words; undefined where nothing is withheld.
const UNREADABLE = { damaged: "Damaged: it is not what was stored", no_key: "The key to read it is missing" };
export const withheld = ({ erased, unreadable }) => (erased ? "Erased" : UNREADABLE[unreadable]);
