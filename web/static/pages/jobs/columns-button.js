// Which columns the list shows, kept for this browser.

import { html } from "../../view.js";
import { Icon } from "../../parts/icon.js";
import { chosen, COLUMNS, toggle } from "./columns.js";

export function ColumnsButton() {
  return html`<details class="menu">
    <summary class="button"><${Icon} name="columns" size=${16} />Columns</summary>
    <fieldset><legend class="sr">Columns</legend>
      ${COLUMNS.map(({ name, title }) => html`<label key=${name}><input type="checkbox" checked=${chosen.value.includes(name)} onChange=${() => toggle(name)} />${title}</label>`)}
    </fieldset>
  </details>`;
}
