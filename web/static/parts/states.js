// What a list or a page shows instead of content: it loads, there is none, or it went wrong.

import { html } from "../view.js";
import { Icon } from "./icon.js";
import { Copy } from "./copy.js";

// Grey bars of the coming content's size, so that nothing moves when it comes.
export function Skeleton({ rows = 5, height = 44 }) {
  return html`<div class="skeleton" role="status" aria-busy="true" aria-label="Loading">
    ${Array.from({ length: rows }, (_, n) => html`<i key=${n} style=${{ height: `${height}px` }} />`)}
  </div>`;
}

export function Empty({ title, icon, children }) {
  return html`<div class="empty">
    ${icon && html`<${Icon} name=${icon} size=${28} />`}
    <h2>${title}</h2>
    ${children}
  </div>`;
}

// A command that can be copied.
export function Command({ line }) {
  return html`<div class="command"><pre tabindex="0">${line}</pre><${Copy} text=${line} /></div>`;
}

const HELP = {
  no_answer: "The server cannot be reached. It is asked again when it is back.",
  database_unavailable: "The database is away. Nothing is lost; this works again when it is back.",
  projection_behind: "The lists are behind the log for a moment.",
  forbidden: "Your role does not allow this.",
  overloaded: "The server has more to do than it can take.",
};

export function ErrorBox({ error, retry, label = "Try again" }) {
  const said = error.message ?? String(error);
  return html`<div class="error-box" role="alert">
    <${Icon} name="alert" />
    <div><b>${said[0].toUpperCase()}${said.slice(1)}.</b> ${HELP[error.code] ?? ""}</div>
    ${retry && html`<button type="button" onClick=${() => retry()}>${label}</button>`}
  </div>`;
}

// A list in one of its four states: children is a function of the data.
export function Loading({ of, rows, height, children }) {
  if (of.data) return html`${of.error && html`<${ErrorBox} error=${of.error} retry=${of.reload} />`}${children(of.data)}`;
  if (of.error) return html`<${ErrorBox} error=${of.error} retry=${of.reload} />`;
  return html`<${Skeleton} rows=${rows} height=${height} />`;
}
