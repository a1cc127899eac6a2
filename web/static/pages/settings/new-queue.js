import { html, useState } from "../../view.js";
import { put } from "../../data/api.js";
import { DialogTitle, openDialog } from "../../frame/dialog.js";
import { go } from "../../frame/router.js";
import { toast } from "../../frame/toasts.js";
import { Icon } from "../../parts/icon.js";
import { ErrorBox } from "../../parts/states.js";

export function NewQueue() {
  const open = () => openDialog(({ close }) => html`<${Form} close=${close} />`, { label: "New queue" });
  return html`<button type="button" onClick=${open}><${Icon} name="plus" size=${15} />New queue</button>`;
}

function Form({ close }) {
  const [name, setName] = useState("");
  const [error, setError] = useState(null);
  async function make(event) {
    event.preventDefault();
    try {
      await put(`queue/${encodeURIComponent(name)}`, {});
      close();
      toast({ text: `Queue ${name} is there.` });
      go(`/queue/${encodeURIComponent(name)}`, { tab: "settings" });
    } catch (raised) {
      setError(raised);
    }
  }
  return html`<form onSubmit=${make}><${DialogTitle} close=${close}>New queue<//>
    <label class="field">Name<input value=${name} required pattern="[a-z0-9_\\-]{1,64}" maxlength="64" autocomplete="off" spellcheck=${false}
      onInput=${(event) => setName(event.target.value)} /><small>Lower case letters, digits, _ and -</small></label>
    ${error && html`<${ErrorBox} error=${error} />`}
    <footer><button type="button" onClick=${() => close()}>Cancel</button><button class="primary">Make queue</button></footer></form>`;
}
