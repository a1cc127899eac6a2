import { html } from "../view.js";
import { PLACES } from "../pages/table.js";
import { DialogTitle, openDialog } from "./dialog.js";

const KEYS = [
  ["Search jobs", "/"],
  ["Command palette", "Ctrl K"],
  ...PLACES.map(({ name, key }) => [name, `g ${key}`]),
  ["Next and previous row", "j k"],
  ["Open the row", "Enter"],
  ["Choose the row", "x"],
  ["Hold or follow live updates", "p"],
  ["Time bar", "t"],
  ["Event before and after, in the past", ", ."],
  ["This list", "?"],
];

export function openHelp() {
  return openDialog(
    ({ close }) => html`<${DialogTitle} close=${close}>Keys<//>
      <dl class="keys">${KEYS.map(([what, keys]) => html`<div key=${what}><dt>${what}</dt>
        <dd>${keys.split(" ").map((key) => html`<kbd key=${key}>${key}</kbd> `)}</dd></div>`)}</dl>`,
    { label: "Keys" },
  );
}
