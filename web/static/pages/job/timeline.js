// The life of a job: a bar to scale, then what happened, step by step.

import { html, useState } from "../../view.js";
import { now, second } from "../../data/clock.js";
import { brief, clock, duration, exact, plural, stamp } from "../../data/format.js";
import { zone } from "../../data/prefs.js";
import { phases, steps, totals } from "./story.js";
import { actorOf, detail, TITLES } from "./wording.js";

const NAMES = { waiting: "Waiting", running: "Running", pausing: "Waiting for its time", over: "Ended" };
const FEW = 60; // steps shown at once: a job can have thousands

export function Timeline({ job, events }) {
  const live = !job.ended_at;
  if (live) second.value; // drawn each second while it goes on
  const found = phases(events, now());
  const { waited, ran, attempts } = totals(found);
  return html`<section class="panel" aria-labelledby="timeline-title">
    <header><h2 id="timeline-title">Timeline</h2>
      <span class="dim">waited ${duration(waited)}, ran ${duration(ran)}, ${plural(attempts, "attempt")}</span></header>
    <${LifeBar} phases=${found} />
    <${Steps} events=${events} />
  </section>`;
}

function LifeBar({ phases: found }) {
  if (!found.length) return null;
  const said = found.map((phase) => `${NAMES[phase.kind]} ${duration(phase.seconds)}`).join(", ");
  return html`<div class="life" role="img" aria-label=${said}>
    ${found.map((phase, n) => html`<span key=${n} class=${`${phase.kind} ${phase.folded ? "folded" : ""} ${phase.open ? "open" : ""} ${phase.outcome ?? ""}`}
      style=${{ flexGrow: phase.share }} title=${`${NAMES[phase.kind]} ${duration(phase.seconds)}${phase.folded ? " (shortened)" : ""}`}>
      <b>${phase.kind === "running" && phase.attempt ? `#${phase.attempt} ` : ""}${duration(phase.seconds)}</b></span>`)}
  </div>
  <ul class="legend" aria-hidden="true">${["waiting", "pausing", "running"].filter((kind) => found.some((phase) => phase.kind === kind))
    .map((kind) => html`<li key=${kind} class=${kind}>${NAMES[kind]}</li>`)}${found.some((phase) => phase.folded) && html`<li class="folded">shortened</li>`}</ul>`;
}

function Steps({ events }) {
  const [all, setAll] = useState(false);
  const made = steps(events);
  const hidden = all ? 0 : Math.max(0, made.length - FEW);
  return html`<ol class="timeline">
    ${made.slice(0, hidden ? FEW / 2 : made.length).map((step) => html`<${Step} key=${step.event.position} ...${step} />`)}
    ${hidden > 0 && html`<li class="more"><button type="button" onClick=${() => setAll(true)}>Show ${plural(hidden, "step")} between</button></li>`}
    ${hidden > 0 && made.slice(-FEW / 2).map((step) => html`<${Step} key=${step.event.position} ...${step} />`)}
  </ol>`;
}

function Step({ event, since, progress }) {
  const { kind, name } = actorOf(event.actor);
  const last = progress?.at(-1) ?? event;
  return html`<li class=${event.type}>
    <div class="step-line"><b>${progress && progress.length > 1 ? plural(progress.length, "progress step") : TITLES[event.type] ?? event.type}</b>
      ${event.attempt && event.type === "started" ? html`<span class="badge">attempt ${event.attempt}</span>` : ""}
      <span class="dim">by ${kind}${name ? html` <b>${name}</b>` : ""}</span>
      <time class="dim" datetime=${event.recorded_at} title=${`${stamp(event.recorded_at, zone.value)}, position ${exact(event.position)}`}>${clock(event.recorded_at, zone.value)}</time>
      <span class="waited">${since === null ? "" : `+${duration(since)}`}</span></div>
    ${detail(last) && html`<p>${detail(last)}</p>`}
    ${event.error && html`<details class="trace"><summary><code>${brief(event.error.trim().split("\n").at(-1))}</code></summary><pre class="code" tabindex="0">${event.error}</pre></details>`}
  </li>`;
}
