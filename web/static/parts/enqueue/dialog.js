// Enqueue a job by hand: queue, type, payload, and when. Where a living worker published the type's schema, the payload
// is a form.

import { html, useState } from "../../view.js";
import { post } from "../../data/api.js";
import { shortId } from "../../data/format.js";
import { live } from "../../data/live.js";
import { useData } from "../../data/use.js";
import { DialogTitle, openDialog } from "../../frame/dialog.js";
import { go } from "../../frame/router.js";
import { toast } from "../../frame/toasts.js";
import { ErrorBox } from "../states.js";
import { PayloadFields } from "./payload.js";
import { fieldsOf, payloadOf, shown, typedOf, wrongOf } from "./schema.js";

export function openEnqueue(queue) {
  return openDialog(({ close }) => html`<${Form} close=${close} first=${queue} />`, { label: "Enqueue a job" });
}

// Types that living workers of the queue run.
function typesOf(queue) {
  const serving = (live.workers.value?.workers ?? []).filter((worker) => worker.queues.includes(queue));
  return [...new Set(serving.flatMap((worker) => worker.types))].sort();
}

function metadataOf({ priority, later }) {
  const metadata = {};
  if (priority !== "") metadata.priority = Number(priority);
  if (later) metadata.scheduled_for = new Date(later).toISOString();
  return Object.keys(metadata).length ? { metadata } : {};
}

// The fields of a type, and what was typed into them or as JSON, each kept true to the other when one changes over.
function usePayload(queue, type) {
  const { data } = useData("workers/schemas", { queue });
  const schema = data?.schemas.find((one) => one.type === type)?.schema;
  const fields = schema ? fieldsOf(schema) : null;
  const [typed, setTyped] = useState({});
  const [text, setText] = useState("{}");
  const [raw, setRaw] = useState(false);
  const asForm = fields !== null && !raw;
  const firsts = Object.fromEntries((fields ?? []).filter(({ value }) => value !== undefined && value !== null).map((field) => [field.name, shown(field, field.value)]));
  const values = { ...firsts, ...typed };

  function flip() {
    if (asForm) setText(JSON.stringify(payloadOf(fields, values), null, 2));
    else {
      const back = typedOf(fields, JSON.parse(text));
      if (!back) throw new Error("the payload has something that no field of the form holds");
      setTyped(back);
    }
    setRaw(!raw);
  }
  return { fields, asForm, flip, typed: values, setTyped, text, setText, value: () => (asForm ? payloadOf(fields, values) : JSON.parse(text)) };
}

function Form({ close, first }) {
  const queues = Object.keys(live.queues.value ?? {});
  const [job, setJob] = useState({ queue: first ?? queues[0] ?? "default", type: "", priority: "", later: "" });
  const [error, setError] = useState(null);
  const payload = usePayload(job.queue, job.type.trim());
  const field = (name) => ({ value: job[name], onInput: (event) => setJob({ ...job, [name]: event.target.value }) });
  const told = (raised) => setError(raised instanceof SyntaxError ? new Error(`the payload is not JSON: ${raised.message}`) : raised);
  async function enqueue(event) {
    event.preventDefault();
    try {
      const made = await post(`queue/${encodeURIComponent(job.queue)}/jobs`, { type: job.type.trim(), payload: payload.value(), ...metadataOf(job) });
      close();
      toast({ text: `Job ${shortId(made.job.id)} is enqueued.`, action: ["Open", () => go(`/job/${made.job.id}`)] });
    } catch (raised) {
      told(raised);
    }
  }
  function flip() {
    try {
      payload.flip();
      setError(null);
    } catch (raised) {
      told(raised);
    }
  }
  return html`<form onSubmit=${enqueue}><${DialogTitle} close=${close}>Enqueue a job<//>
    <label class="field">Queue<select value=${job.queue} onChange=${field("queue").onInput}>${queues.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label>
    <label class="field">Type<input required list="job-types" autocomplete="off" spellcheck=${false} ...${field("type")} /></label>
    <datalist id="job-types">${typesOf(job.queue).map((name) => html`<option key=${name} value=${name} />`)}</datalist>
    <${Payload} payload=${payload} wrong=${wrongOf(error)} flip=${flip} />
    <div class="fields"><label class="field">Priority<input type="number" min="0" max="1000" placeholder="the queue's" ...${field("priority")} /></label>
      <label class="field">Not before<input type="datetime-local" ...${field("later")} /></label></div>
    ${error && html`<${ErrorBox} error=${error} />`}
    <footer><button type="button" onClick=${() => close()}>Cancel</button><button class="primary">Enqueue</button></footer></form>`;
}

function Payload({ payload, wrong, flip }) {
  const { fields, asForm, typed, setTyped, text, setText } = payload;
  return html`${fields && html`<div class="segments" role="group" aria-label="Payload as">
      <button type="button" aria-pressed=${asForm} onClick=${() => asForm || flip()}>Form</button>
      <button type="button" aria-pressed=${!asForm} onClick=${() => asForm && flip()}>JSON</button></div>`}
    ${asForm ? html`<${PayloadFields} fields=${fields} typed=${typed} change=${setTyped} wrong=${wrong} />`
      : html`<label class="field">Payload, JSON<textarea rows="6" required spellcheck=${false} value=${text} onInput=${(event) => setText(event.target.value)} /></label>`}`;
}
