// On a phone: the pages that have no room in the bar, the queues, and what can be set.

import { html } from "../view.js";
import { Icon } from "../parts/icon.js";
import { commands } from "./commands.js";
import { DialogTitle, openDialog } from "./dialog.js";

export function openMore() {
  return openDialog(({ close }) => html`<${More} close=${close} />`, { label: "More" });
}

function More({ close }) {
  const run = (command) => (close(), setTimeout(() => command.run()));
  return html`<${DialogTitle} close=${close}>More<//>
    <ul class="more-list">${commands().map((command) => html`<li key=${command.name}>
      <button type="button" onClick=${() => run(command)}><${Icon} name=${command.icon} /><span>${command.name}</span></button></li>`)}</ul>`;
}
