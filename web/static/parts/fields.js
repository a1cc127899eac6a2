// Forms of named numbers, choices and switches, from a description of each field.
//
//   const form = useForm(fields, values);     {values, set, changes(), touched}
//   <Fields of=fields form=form />            field: {name, label, hint, kind: number|choice|switch, ...}

import { html, useState } from "../view.js";

// `name` may have a dot: scaling.min.
export const read = (from, name) => name.split(".").reduce((value, part) => value?.[part], from);

function write(into, name, value) {
  const parts = name.split(".");
  const end = parts.pop();
  let node = into;
  for (const part of parts) node = node[part] ??= {};
  node[end] = value;
}

const text = (value) => (value == null ? "" : value);

export function useForm(fields, initial) {
  const [typed, setTyped] = useState({});
  const valueOf = ({ name }) => (name in typed ? typed[name] : text(read(initial, name)));
  const changed = fields.filter((field) => field.name in typed && String(typed[field.name]) !== String(text(read(initial, field.name))));
  function changes() {
    const made = {};
    for (const field of changed) write(made, field.name, parsed(field, typed[field.name]));
    return made;
  }
  return { valueOf, changes, touched: changed.length > 0, set: (name, value) => setTyped({ ...typed, [name]: value }), clear: () => setTyped({}) };
}

function parsed({ kind, unit = 1 }, value) {
  if (kind !== "number") return value;
  return value === "" ? null : Math.round(Number(value) * unit);
}

function Control({ field, form, disabled }) {
  const value = form.valueOf(field);
  const shared = { id: `field-${field.name}`, disabled, name: field.name };
  const onInput = (event) => form.set(field.name, event.target.value);
  if (field.kind === "choice") {
    return html`<select ...${shared} value=${value} onChange=${onInput}>${field.choices.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`;
  }
  if (field.kind === "switch") {
    return html`<input ...${shared} type="checkbox" checked=${Boolean(value)} onChange=${(event) => form.set(field.name, event.target.checked)} />`;
  }
  return html`<input ...${shared} type="number" inputmode="numeric" value=${value} min=${field.min} max=${field.max} required=${!field.optional}
    placeholder=${field.optional ?? ""} onInput=${onInput} />`;
}

export function Fields({ of, form, disabled = false }) {
  return html`<div class="fields">${of.map((field) => html`<div key=${field.name} class=${`field ${field.kind}`}>
    <label for=${`field-${field.name}`}>${field.label}</label><${Control} field=${field} form=${form} disabled=${disabled} />
    ${field.hint && html`<small>${field.hint}</small>`}</div>`)}</div>`;
}
