// The payload: fields made from the schema that workers of the type published, or JSON.

import { html } from "../../view.js";
import { shown } from "./schema.js";

export function PayloadFields({ fields, typed, change, wrong }) {
  return html`<fieldset class="payload-fields"><legend class="sr">Payload</legend>
    ${fields.map((field) => html`<${Field} key=${field.name} field=${field} value=${typed[field.name] ?? shown(field, undefined)} wrong=${wrong[field.name]}
      set=${(value) => change({ ...typed, [field.name]: value })} />`)}</fieldset>`;
}

function Field({ field, value, wrong, set }) {
  const id = `payload-${field.name}`;
  const said = wrong ?? field.hint;
  return html`<div class=${`field ${field.kind === "switch" ? "switch" : ""}`}>
    <label for=${id}>${field.label ?? field.name}${field.required ? "" : html` <span class="dim">optional</span>`}</label>
    <${Control} id=${id} field=${field} value=${value} wrong=${wrong} set=${set} />
    ${said && html`<small id=${`${id}-said`} class=${wrong ? "wrong" : ""}>${said}</small>`}</div>`;
}

function Control({ id, field, value, wrong, set }) {
  const shared = { id, "aria-invalid": wrong ? "true" : null, "aria-describedby": wrong || field.hint ? `${id}-said` : null };
  const onInput = (event) => set(event.target.value);
  if (field.kind === "switch") return html`<input ...${shared} type="checkbox" checked=${value} onChange=${(event) => set(event.target.checked)} />`;
  if (field.kind === "choice") {
    return html`<select ...${shared} value=${value} required=${field.required} onChange=${onInput}>
      <option value="" />${field.choices.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`;
  }
  if (field.kind === "json") return html`<textarea ...${shared} rows="3" spellcheck=${false} placeholder="JSON" required=${field.required} value=${value} onInput=${onInput} />`;
  if (field.kind === "number") {
    return html`<input ...${shared} type="number" step=${field.step} min=${field.min} max=${field.max} required=${field.required} value=${value} onInput=${onInput} />`;
  }
  return html`<input ...${shared} type="text" minlength=${field.min} maxlength=${field.max} pattern=${field.pattern} required=${field.required && field.min > 0}
    autocomplete="off" spellcheck=${false} value=${value} onInput=${onInput} />`;
}
