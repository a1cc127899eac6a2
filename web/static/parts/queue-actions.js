// Pause, resume and drain a queue: asked with exact numbers, undone where the log allows it.

import { html } from "../view.js";
import { post } from "../data/api.js";
import { exact, plural } from "../data/format.js";
import { may } from "../data/me.js";
import { confirm } from "../frame/dialog.js";
import { route } from "../frame/router.js";
import { failed, toast } from "../frame/toasts.js";
import { Icon } from "./icon.js";

const path = (name) => `queue/${encodeURIComponent(name)}`;

async function trying(work) {
  try {
    return await work();
  } catch (error) {
    failed(error);
    return null;
  }
}

export async function pauseQueue(name, stats) {
  const said = await confirm({
    title: `Pause ${name}?`,
    text: `${plural(stats.depth, "waiting job")} will not start until it is resumed. ${stats.processing ? `${exact(stats.processing)} running now will finish.` : "None runs now."}`,
    yes: "Pause queue", no: "Leave it running", reason: true,
  });
  if (said) await trying(() => paused(name, said.reason));
}

async function paused(name, reason) {
  await post(`${path(name)}/pause`, { reason });
  toast({ text: `Queue ${name} is paused.`, action: ["Resume", () => resumeQueue(name)] });
}

export const resumeQueue = (name) =>
  trying(async () => {
    await post(`${path(name)}/resume`);
    toast({ text: `Queue ${name} runs again.`, action: ["Pause", () => trying(() => paused(name, "resumed by mistake"))] });
  });

// A dry run counts and names a position; what is done then is done to exactly those. Whoever went to another page
// meanwhile is not asked any more.
export const drainQueue = (name) =>
  trying(async () => {
    const wanted = { action: "cancel", filter: { queue: name, status: "pending,queued" } };
    const { path: where } = route.value;
    const { matched, position } = await post("jobs/actions", { ...wanted, dry_run: true });
    if (route.value.path !== where) return;
    if (!matched) return void toast({ text: `Nothing waits in ${name}.` });
    const said = await confirm({
      title: `Drain ${name}?`, danger: true, reason: true, yes: `Cancel ${plural(matched, "job")}`, no: "Keep them",
      text: `${plural(matched, "waiting job")} will be cancelled, scheduled ones and retries too. What runs goes on; jobs that come later stay.`,
    });
    if (!said) return;
    const done = await post("jobs/actions", { ...wanted, position, reason: said.reason });
    toast({ text: `${exact(done.changed ?? done.matched)} jobs of ${name} ${done.changed == null ? "are being" : "were"} cancelled.`,
      action: done.action_id ? ["Undo", () => undo(done.action_id)] : undefined, seconds: 15 });
  });

export const undo = (action) =>
  trying(async () => {
    const done = await post(`actions/${action}/undo`, { reason: "undone in the dashboard" });
    toast({ text: `${exact(done.changed ?? done.matched)} jobs wait again.` });
  });

export function QueueActions({ name, stats }) {
  if (!may("operate")) return null;
  return html`<div class="queue-actions">
    ${stats.paused
      ? html`<button type="button" onClick=${() => resumeQueue(name)}><${Icon} name="play" size=${15} />Resume</button>`
      : html`<button type="button" onClick=${() => pauseQueue(name, stats)}><${Icon} name="pause" size=${15} />Pause</button>`}
    <button type="button" class="quiet bad" disabled=${!stats.depth} onClick=${() => drainQueue(name)}>Drain queue</button>
  </div>`;
}

export function queueState(stats) {
  if (stats.paused) return ["Paused", "warn"];
  if (stats.queued && !stats.workers) return ["No workers", "bad"];
  return stats.processing ? ["Working", "good"] : ["Idle", ""];
}
