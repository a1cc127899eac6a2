// Events of a job in words. Pure.

import { duration, exact, plural } from "../../data/format.js";

export const TITLES = {
  enqueued: "Enqueued", queued: "Due", started: "Started", progressed: "Progress", completed: "Completed",
  retry_scheduled: "Failed, will be tried again", failed: "Failed", cancel_requested: "Asked to stop",
  cancelled: "Cancelled", expired: "Expired", lost: "Lost with its worker", released: "Given back", requeued: "Sent to run again",
  routed: "Routed", rescheduled: "Changed", payload_erased: "Payload erased",
};

const CAUSES = {
  timeout: "it ran longer than its timeout", lost: "its worker died", poison: "it killed its worker too often",
  drained: "its queue was drained", requested: "", error: "", expired: "it was not started in time",
};

// "worker:ann:<session>" -> {kind: "worker", name: "ann"}
export function actorOf(text) {
  const [kind, name = ""] = String(text ?? "").split(":");
  return { kind: kind || "somebody", name };
}

const seconds = (from, to) => (Date.parse(to) - Date.parse(from)) / 1000;

const DETAILS = {
  enqueued: ({ data }) => [`priority ${data.priority}`, plural(data.max_retries, "retry", "retries"), data.timeout && `timeout ${duration(data.timeout)}`,
    data.source && `source ${data.source}`, data.body_size && `${exact(data.body_size)} bytes`],
  progressed: ({ data, message }) => [data.percent != null && `${Math.round(data.percent)}%`, message],
  retry_scheduled: ({ data, recorded_at }) => [CAUSES[data.cause], data.due_at && `again in ${duration(Math.max(0, seconds(recorded_at, data.due_at)))}`],
  failed: ({ data }) => [CAUSES[data.cause] ?? data.cause],
  expired: ({ data }) => [CAUSES[data.cause] ?? data.cause],
  cancelled: ({ data, reason }) => [CAUSES[data.cause] ?? data.cause, reason && `“${reason}”`],
  cancel_requested: ({ reason }) => [reason && `“${reason}”`],
  lost: ({ data }) => [data.cause, data.to && `then ${data.to}`],
  requeued: ({ data, reason }) => [data.body_size && "with another payload", reason && `“${reason}”`],
  rescheduled: ({ data, recorded_at }) => [data.priority != null && `priority ${data.priority}`,
    data.due_at && `due in ${duration(Math.max(0, seconds(recorded_at, data.due_at)))}`],
  payload_erased: ({ reason }) => [reason && `“${reason}”`],
  completed: ({ data }) => [data.body_size && `answered ${exact(data.body_size)} bytes`],
};

export const detail = (event) => (DETAILS[event.type]?.({ ...event, data: event.data ?? {} }) ?? []).filter(Boolean).join(" · ");
