// Dialogs over the page, in the browser's own <dialog>: it keeps the focus inside, closes on Escape, and gives
// the focus back. One at a time.
//
//   openDialog(({ close }) => html`<h2>..</h2> ...`, { label: "Enqueue a job" });     resolves with close's value
//   if (await confirm({ title, text, yes: "Cancel 1,203 jobs", danger: true, reason: true })) ...

import { html, signal, useEffect, useRef, useState } from "../view.js";
import { Icon } from "../parts/icon.js";

const current = signal(null);

export const dialogIsOpen = () => current.value !== null;

export function openDialog(content, { label, wide = false } = {}) {
  current.value?.close();
  return new Promise((resolve) => {
    const close = (value) => {
      if (current.value?.close === close) current.value = null;
      resolve(value);
    };
    current.value = { content, label, wide, close };
  });
}

export function DialogHost() {
  const open = current.value;
  return open && html`<${Dialog} key=${open.close} ...${open} />`;
}

function Dialog({ content: Content, label, wide, close }) {
  const element = useRef(null);
  useEffect(() => element.current.showModal(), []);
  const outside = (event) => event.target === element.current && close();
  return html`<dialog ref=${element} class=${wide ? "wide" : ""} aria-label=${label} onClose=${() => close()} onClick=${outside}>
    <div class="dialog-body"><${Content} close=${close} /></div>
  </dialog>`;
}

// Resolves with {reason} when confirmed, else undefined. `reason`: true asks for one, "required" insists.
export function confirm({ title, text, yes, no = "Keep it as it is", danger = false, reason = false }) {
  return openDialog(({ close }) => html`<${Question} ...${{ title, text, yes, no, danger, reason, close }} />`, { label: title });
}

function Question({ title, text, yes, no, danger, reason, close }) {
  const [why, setWhy] = useState("");
  const submit = (event) => (event.preventDefault(), close({ reason: why.trim() || undefined }));
  return html`<form onSubmit=${submit}>
    <h2>${title}</h2>
    <div class="said">${text}</div>
    ${reason && html`<label class="field">Reason, kept in the log
      <input value=${why} maxlength="500" required=${reason === "required"} onInput=${(event) => setWhy(event.target.value)} /></label>`}
    <footer>
      <button type="button" onClick=${() => close()}>${no}</button>
      ${yes && html`<button class=${danger ? "danger" : "primary"}>${yes}</button>`}
    </footer>
  </form>`;
}

export function DialogTitle({ children, close }) {
  return html`<header class="dialog-title"><h2>${children}</h2>
    <button type="button" class="icon-button" aria-label="Close" onClick=${() => close()}><${Icon} name="close" /></button></header>`;
}
