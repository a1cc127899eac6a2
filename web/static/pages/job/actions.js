// What can be done with one job, by what it is at.

import { html } from "../../view.js";
import { post } from "../../data/api.js";
import { may } from "../../data/me.js";
import { shortId } from "../../data/format.js";
import { confirm, openDialog } from "../../frame/dialog.js";
import { failed, toast } from "../../frame/toasts.js";
import { act, ACTIONS } from "../jobs/bulk.js";
import { Change } from "./change.js";
import { EditedRetry } from "./edited-retry.js";

const LIVE = new Set(["pending", "queued", "processing"]);
const CANCEL = ACTIONS.find(({ name }) => name === "cancel");
const ERASE = ACTIONS.find(({ name }) => name === "erase");
const AGAIN = new Set(["failed", "expired", "cancelled"]);

export function Actions({ job, reload }) {
  const { status } = job;
  const waits = status === "pending" || status === "queued";
  return html`<div class="actions">
    ${waits && html`<button type="button" onClick=${() => opened(Change, job, reload, "Change priority or time")}>Change</button>`}
    ${AGAIN.has(status) && html`<button type="button" class="primary" onClick=${() => retry(job, reload)}>Retry</button>
      <button type="button" onClick=${() => opened(EditedRetry, job, reload, "Retry with another payload")}>Edit and retry</button>`}
    ${LIVE.has(status) && html`<button type="button" class="quiet bad" disabled=${job.cancelling} onClick=${() => (waits ? act(CANCEL, { ids: [job.id], done: reload }) : stop(job, reload))}>${job.cancelling ? "Stopping" : "Cancel"}</button>`}
    ${!LIVE.has(status) && may("admin") && html`<button type="button" class="quiet bad" onClick=${() => act(ERASE, { ids: [job.id], done: reload })}>Erase payload</button>`}
  </div>`;
}

const opened = async (Form, job, reload, label) => {
  await openDialog(({ close }) => html`<${Form} job=${job} close=${close} />`, { label, wide: true });
  reload();
};

async function retry(job, reload) {
  try {
    await post(`job/${job.id}/retry`);
    toast({ text: `Job ${shortId(job.id)} will run again` });
  } catch (error) {
    failed(error);
  }
  reload();
}

// One that waits is cancelled as an action, whose way back restores the time that it waited for. This cannot be taken back.
async function stop(job, reload) {
  const answer = await confirm({
    title: `Cancel job ${shortId(job.id)}?`, yes: "Cancel this job", no: "Leave it", danger: true, reason: true,
    text: "It runs: it is asked to stop, and ended after the grace time if it does not.",
  });
  if (!answer) return;
  try {
    const { status } = await post(`job/${job.id}/cancel`, answer);
    toast({ text: status === "cancelled" ? `Job ${shortId(job.id)} cancelled` : `Job ${shortId(job.id)} was asked to stop` });
  } catch (error) {
    failed(error);
  }
  reload();
}
