// The same job again, with a payload that was mended.

import { html, useState } from "../../view.js";
import { post } from "../../data/api.js";
import { shortId } from "../../data/format.js";
import { DialogTitle } from "../../frame/dialog.js";
import { toast } from "../../frame/toasts.js";
import { ErrorBox } from "../../parts/states.js";

export function EditedRetry({ job, close }) {
  const [text, setText] = useState(JSON.stringify(job.payload ?? {}, null, 2));
  const [error, setError] = useState(null);

  async function send(event) {
    event.preventDefault();
    try {
      const payload = JSON.parse(text);
      await post(`job/${job.id}/retry`, { payload });
      toast({ text: `Job ${shortId(job.id)} will run again with the new payload` });
      close(true);
    } catch (problem) {
      setError(problem);
    }
  }

  return html`<form onSubmit=${send}><${DialogTitle} close=${close}>Retry with another payload<//>
    <p class="dim">The job keeps its id; its history keeps the payload it had.</p>
    ${error && html`<${ErrorBox} error=${error} />`}
    <label class="field">Payload, as JSON
      <textarea class="code" rows="14" spellcheck=${false} value=${text} onInput=${(event) => (setText(event.target.value), setError(null))}></textarea></label>
    <footer><button type="button" onClick=${() => close()}>Leave it</button><button class="primary">Retry with this payload</button></footer>
  </form>`;
}
