// Which columns the list shows, kept for this browser.

import { html } from "../../view.js";
import { Menu } from "../../parts/menu.js";
import { chosen, COLUMNS, toggle } from "./columns.js";

export function ColumnsButton() {
  return html`<${Menu} label="Columns" icon="columns">
    <fieldset><legend class="sr">Columns</legend>
      ${COLUMNS.map(({ name, title }) => html`<label key=${name}><input type="checkbox" checked=${chosen.value.includes(name)} onChange=${() => toggle(name)} />${title}</label>`)}
    </fieldset><//>`;
}
