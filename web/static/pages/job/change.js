// Another priority or time for a waiting job.

import { html, useState } from "../../view.js";
import { patch } from "../../data/api.js";
import { DialogTitle } from "../../frame/dialog.js";
import { toast } from "../../frame/toasts.js";
import { ErrorBox } from "../../parts/states.js";

// A time as <input type="datetime-local"> has it, in this browser's zone.
function local(time) {
  if (!time) return "";
  const at = new Date(time);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

export function Change({ job, close }) {
  const [priority, setPriority] = useState(String(job.metadata.priority));
  const [time, setTime] = useState(job.status === "pending" ? local(job.metadata.scheduled_for) : "");
  const [error, setError] = useState(null);

  async function save(event) {
    event.preventDefault();
    const wanted = {
      ...(Number(priority) === job.metadata.priority ? {} : { priority: Number(priority) }),
      ...(time && time !== local(job.metadata.scheduled_for) ? { scheduled_for: new Date(time).toISOString() } : {}),
    };
    if (!Object.keys(wanted).length) return void close();
    try {
      await patch(`job/${job.id}`, wanted);
      toast({ text: "The job was changed" });
      close(true);
    } catch (problem) {
      setError(problem);
    }
  }

  return html`<form onSubmit=${save}><${DialogTitle} close=${close}>Change priority or time<//>
    ${error && html`<${ErrorBox} error=${error} />`}
    <label class="field">Priority <span class="dim">higher runs first</span>
      <input type="number" required step="1" value=${priority} onInput=${(event) => setPriority(event.target.value)} /></label>
    <label class="field">Not before <span class="dim">in this browser's time zone</span>
      <input type="datetime-local" step="1" value=${time} onInput=${(event) => setTime(event.target.value)} /></label>
    <footer><button type="button" onClick=${() => close()}>Leave it</button><button class="primary">Change</button></footer>
  </form>`;
}
