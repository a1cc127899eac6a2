// A list as a file. The server writes it while it reads it; the browser saves it under the name that the server says.

import { html } from "../view.js";
import { address } from "../data/api.js";
import { at } from "../frame/router.js";
import { Menu } from "./menu.js";

const KINDS = ["csv", "ndjson"];

// `query` is a function, so that spans of time end when one saves, not when the page was drawn.
export function Export({ path, query = () => ({}), past = false }) {
  if (at.value && !past) return null;
  const to = (format) => address(path, { ...(at.value ? { at: at.value } : {}), ...query(), format }).href;
  const renew = (format) => ({ currentTarget }) => ((currentTarget.href = to(format)), (currentTarget.closest("details").open = false));
  return html`<${Menu} label="Export" icon="download">
    <div class="menu-body">${KINDS.map((kind) => html`<a key=${kind} class="button" download href=${to(kind)} onClick=${renew(kind)}>${kind.toUpperCase()}</a>`)}
      <small class="dim">The first 100,000 rows</small></div><//>`;
}
