// What a row of the list can show. `wide`: takes the room that is left; `number`: aligned to the right.

import { kept } from "../../data/prefs.js";

export const COLUMNS = [
  { name: "id", title: "Id" },
  { name: "queue", title: "Queue" },
  { name: "state", title: "State" },
  { name: "payload", title: "Payload", wide: true },
  { name: "error", title: "Error", wide: true },
  { name: "progress", title: "Progress" },
  { name: "attempt", title: "Attempt", number: true },
  { name: "priority", title: "Priority", number: true },
  { name: "worker", title: "Worker" },
  { name: "tags", title: "Tags" },
  { name: "source", title: "Source" },
  { name: "correlation", title: "Correlation id" },
  { name: "created", title: "Created", number: true },
  { name: "started", title: "Started", number: true },
  { name: "took", title: "Took", number: true },
];

export const chosen = kept("jobs.columns", ["id", "queue", "state", "payload", "attempt", "created", "took"]);

// In the order of COLUMNS, whatever order they were chosen in; unknown names of an older release fall out.
export const shown = () => COLUMNS.filter((column) => chosen.value.includes(column.name));

export function toggle(name) {
  const has = chosen.value.includes(name);
  chosen.value = has ? chosen.value.filter((other) => other !== name) : [...chosen.value, name];
}
