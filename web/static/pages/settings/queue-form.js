// A queue's settings: what its jobs begin with, and its limits.

import { html, useState } from "../../view.js";
import { del, put } from "../../data/api.js";
import { may } from "../../data/me.js";
import { useData } from "../../data/use.js";
import { confirm } from "../../frame/dialog.js";
import { at, go } from "../../frame/router.js";
import { failed, toast } from "../../frame/toasts.js";
import { Fields, useForm } from "../../parts/fields.js";
import { ErrorBox, Loading } from "../../parts/states.js";

export const JOBS = [
  { name: "priority", label: "Priority", kind: "number", min: 0, max: 1000, hint: "Higher runs first" },
  { name: "max_retries", label: "Retries", kind: "number", min: 0, max: 1000 },
  { name: "retry_delay", label: "Pause before a retry, s", kind: "number", min: 0, max: 2_592_000 },
  { name: "retry_backoff", label: "The pause", kind: "choice", choices: ["fixed", "exponential"], hint: "Exponential: doubles, up to an hour" },
  { name: "timeout", label: "Time limit of a run, s", kind: "number", min: 1, max: 604_800, optional: "none" },
];
export const LIMITS = [
  { name: "max_workers", label: "Jobs at once, in all", kind: "number", min: 1, max: 10_000, optional: "no limit" },
  { name: "scaling.min", label: "Fewest worker processes", kind: "number", min: 0, max: 1000 },
  { name: "scaling.max", label: "Most worker processes", kind: "number", min: 1, max: 1000 },
  { name: "scaling.threshold", label: "One more above this many waiting", kind: "number", min: 1, max: 1_000_000 },
];

export function QueueSettings({ name }) {
  const found = useData(`queue/${encodeURIComponent(name)}`);
  return html`<${Loading} of=${found} rows=${6}>${(queue) => html`<${Form} key=${queue.position} queue=${queue} reload=${found.reload} />`}<//>`;
}

function Form({ queue, reload }) {
  const form = useForm([...JOBS, ...LIMITS], queue.config);
  const [error, setError] = useState(null);
  const reader = !may("admin");
  async function save(event) {
    event.preventDefault();
    setError(null);
    try {
      await put(`queue/${encodeURIComponent(queue.name)}`, form.changes());
      toast({ text: `Settings of ${queue.name} saved; jobs enqueued from now on have them.` });
      reload();
    } catch (raised) {
      setError(raised);
    }
  }
  return html`<form class="settings-form" onSubmit=${save}>
    <fieldset><legend>What its jobs begin with</legend><${Fields} of=${JOBS} form=${form} disabled=${reader} /></fieldset>
    <fieldset><legend>Limits and worker processes</legend><${Fields} of=${LIMITS} form=${form} disabled=${reader} /></fieldset>
    ${error && html`<${ErrorBox} error=${error} />`}
    ${reader ? html`<p class="dim">${at.value ? "The past cannot be changed." : "Admins change these."}</p>` : html`<footer class="form-end">
      <button class="primary" disabled=${!form.touched}>Save</button>
      <button type="button" class="quiet" disabled=${!form.touched} onClick=${form.clear}>Discard changes</button>
      <button type="button" class="quiet bad end" onClick=${() => remove(queue.name)}>Delete queue</button></footer>`}
  </form>`;
}

async function remove(name) {
  const said = await confirm({ title: `Delete ${name}?`, text: "Only an empty queue can be deleted. Its history stays in the log.", yes: "Delete queue", danger: true });
  if (!said) return;
  try {
    await del(`queue/${encodeURIComponent(name)}`);
    toast({ text: `Queue ${name} is deleted.` });
    go("/settings");
  } catch (error) {
    failed(error);
  }
}
