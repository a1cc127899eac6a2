// What an event is shown as.

import { html } from "../../view.js";
import { exact, stamp } from "../../data/format.js";
import { zone } from "../../data/prefs.js";
import { DialogTitle, openDialog } from "../../frame/dialog.js";
import { href } from "../../frame/router.js";
import { Copy } from "../../parts/copy.js";

const TONES = {
  completed: "good", worker_started: "good", resumed: "good", failed: "bad", expired: "bad", lost: "bad", worker_lost: "bad", refused: "bad",
  retry_scheduled: "warn", paused: "warn", drained: "warn", cancelled: "warn", cancel_requested: "warn", started: "info", progressed: "info",
};
export const TYPES = [
  "enqueued", "queued", "started", "progressed", "completed", "retry_scheduled", "failed", "cancel_requested", "cancelled", "expired", "lost",
  "released", "requeued", "routed", "rescheduled", "payload_erased", "queue_configured", "paused", "resumed", "drained", "scaled",
  "worker_started", "worker_stopped", "worker_lost", "config_changed", "session_opened", "refused", "token_created", "token_revoked",
  "epoch_started", "keys_rotated", "action_started", "action_finished",
];
// What people and tokens do.
export const BY_HAND = [
  "cancel_requested", "cancelled", "requeued", "rescheduled", "payload_erased", "queue_configured", "paused", "resumed", "drained", "scaled",
  "config_changed", "session_opened", "refused", "token_created", "token_revoked", "keys_rotated", "action_started", "action_finished",
];
const OF_JOBS = new Set(TYPES.slice(0, TYPES.indexOf("queue_configured")));

export const toneOf = (type) => TONES[type] ?? "";
export const isJob = ({ type }) => OF_JOBS.has(type);

// worker:name:session -> name; user:ann -> ann
export function actorOf({ actor }) {
  const [kind, ...name] = actor.split(":");
  return kind === "worker" ? name[0] : name.join(":") || kind;
}

const HIDDEN = new Set(["body_size", "retry_backoff", "error_type", "template", "fingerprint"]);

const FLAGS = { reason: "with a reason", deleted: "deleted" }; // the reason itself is in the vault

function inWords(value) {
  if (value === null || typeof value !== "object") return value ?? "none";
  if (Array.isArray(value)) return JSON.stringify(value);
  return Object.entries(value).map(([name, of]) => `${name} ${inWords(of)}`).join(" ");
}

// One line: what the event's data say.
export function about({ data, attempt }) {
  const said = [];
  if (attempt > 1) said.push(`attempt ${attempt}`);
  const error = [data.error_type, data.template].filter(Boolean).join(": ");
  if (error) said.push(error);
  for (const [name, value] of Object.entries(data)) {
    if (HIDDEN.has(name) || value == null) continue;
    said.push((value === true && FLAGS[name]) || `${name.replaceAll("_", " ")} ${inWords(value)}`);
  }
  return said.join(", ");
}

export function openEvent(event) {
  const text = JSON.stringify(event, null, 2);
  return openDialog(
    ({ close }) => html`<${DialogTitle} close=${close}>${event.type.replaceAll("_", " ")} at ${exact(event.position)}<//>
      <p class="dim">${stamp(event.recorded_at, zone.value)} by ${event.actor}</p>
      <div class="code-block"><pre class="code" tabindex="0">${text}</pre><${Copy} text=${text} /></div>
      <footer>${isJob(event) && html`<a class="button" href=${href(`/job/${event.job}`)} onClick=${() => close()}>Open the job</a>`}
        <a class="button" href=${href("/", { at: event.position })} onClick=${() => close()}>See the system then</a></footer>`,
    { label: `Event ${event.position}`, wide: true },
  );
}
