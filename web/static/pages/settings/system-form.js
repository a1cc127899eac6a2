// The system's configuration. Every change is an event and lives everywhere within two seconds.

import { html, useState } from "../../view.js";
import { put } from "../../data/api.js";
import { may } from "../../data/me.js";
import { toast } from "../../frame/toasts.js";
import { Fields, useForm } from "../../parts/fields.js";
import { ErrorBox } from "../../parts/states.js";

const FIELDS = [
  { name: "retention_days", label: "Days that history is kept", kind: "number", min: 1, max: 36_500 },
  { name: "max_message_size", label: "Largest payload, bytes", kind: "number", min: 1024, max: 67_108_864 },
  { name: "poison_after", label: "Set a job aside after", kind: "number", min: 1, max: 1000, hint: "deaths of its worker: then it counts as a poison pill" },
  { name: "notifications.enabled", label: "Notifications", kind: "switch" },
  { name: "allow_plaintext_outbox", label: "SQL enqueue beside encryption", kind: "switch", hint: "Its payloads are in the outbox and the WAL in plain text" },
];

export function SystemForm({ config, reload }) {
  const form = useForm(FIELDS, config);
  const [error, setError] = useState(null);
  const reader = !may("admin");
  async function save(event) {
    event.preventDefault();
    setError(null);
    try {
      await put("config", form.changes());
      toast({ text: "Saved; in force everywhere within two seconds." });
      reload();
    } catch (raised) {
      setError(raised);
    }
  }
  return html`<form class="settings-form" onSubmit=${save}>
    <${Fields} of=${FIELDS} form=${form} disabled=${reader} />
    <p class="dim">Payloads are ${config.encryption ? "encrypted" : "not encrypted"}. Every job is in PostgreSQL before it is acknowledged; this cannot be switched off.</p>
    ${error && html`<${ErrorBox} error=${error} />`}
    ${!reader && html`<footer class="form-end"><button class="primary" disabled=${!form.touched}>Save</button>
      <button type="button" class="quiet" disabled=${!form.touched} onClick=${form.clear}>Discard changes</button></footer>`}
  </form>`;
}
