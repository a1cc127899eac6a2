// Acting on many jobs: first a dry run that counts exactly, then a question with that number, then the action
// on exactly that set, whatever came meanwhile; and where the log allows it, the way back.

import { html } from "../../view.js";
import { get, post } from "../../data/api.js";
import { now } from "../../data/clock.js";
import { exact } from "../../data/format.js";
import { confirm } from "../../frame/dialog.js";
import { route } from "../../frame/router.js";
import { failed, toast } from "../../frame/toasts.js";
import { asked } from "./filters.js";

// `own`, `named`: the states that it means by itself, and when jobs were chosen one by one.
export const ACTIONS = [
  { name: "cancel", label: "Cancel", past: "cancelled", scope: "operate", danger: true, own: "pending,queued", named: "pending,queued,processing",
    text: "Waiting jobs are cancelled at once; running ones are asked to stop, if they were chosen or their state is named in the search." },
  { name: "retry", label: "Retry", past: "sent to run again", scope: "operate", own: "failed,expired", named: "failed,expired,cancelled",
    text: "They keep their ids and start with all their retries." },
  { name: "erase", label: "Erase payloads", past: "erased", scope: "admin", danger: true, own: "completed,failed,cancelled,expired", named: "completed,failed,cancelled,expired",
    text: "Payloads, results, errors and progress texts are destroyed for good. The log keeps that the jobs were there." },
];
const jobsIn = (count) => `${exact(count)} ${count === 1 ? "job" : "jobs"}`;
const STEP = 1000; // ms between two questions about an action that goes on

// `ids` of jobs chosen one by one, or with `all` whatever the filters match. Resolves when all is done.
export async function act(action, { ids, all, filters, done }) {
  const filter = all ? asked(filters, now()) : { ids, status: action.named };
  const { path } = route.value;
  try {
    const plan = await post("jobs/actions", { action: action.name, dry_run: true, filter: Object.keys(filter).length ? filter : { status: action.own } });
    if (route.value.path !== path) return undefined; // whoever went to another page is not asked any more
    if (plan.matched === 0) return void toast({ text: `None of these can be ${action.past}` });
    const answer = await question(action, plan);
    if (!answer) return undefined;
    const { reason } = answer;
    const begun = await post("jobs/actions", { action: action.name, position: plan.position, ...(reason ? { reason } : {}),
      filter: Object.keys(filter).length ? filter : { status: action.own } });
    tellDone(action, await followed(begun), done);
    return done();
  } catch (error) {
    return failed(error);
  }
}

function question(action, { matched, position }) {
  const jobs = jobsIn(matched);
  return confirm({
    title: `${action.label}: ${jobs}`, danger: action.danger, reason: action.name === "erase" ? "required" : true,
    yes: `${action.label} ${jobs}`, no: "Leave them as they are",
    text: html`<p>Exactly ${jobs}, as of position ${exact(position)} of the log. What comes later is not touched.</p><p>${action.text}</p>`,
  });
}

// More than a request's worth runs on the server in steps: asked about until it is over.
async function followed(said) {
  if (said.changed !== undefined) return said;
  toast({ text: "It is a lot: the server works on it, also when this page is left" });
  for (;;) {
    await new Promise((resume) => setTimeout(resume, STEP));
    const now = await get(`actions/${said.action_id}`);
    if (now.finished_at) return now;
  }
}

function tellDone(action, { changed, refused, action_id: id }, done) {
  const left = refused ? `, ${exact(refused)} changed meanwhile and were left alone` : "";
  const back = action.name === "cancel" && id && changed > 0 ? ["Undo", () => undo(id, done)] : undefined;
  toast({ text: `${jobsIn(changed)} ${action.past}${left}`, action: back });
}

// A cancel is taken back by events that let the jobs wait again as they did: the log keeps both.
async function undo(id, done) {
  try {
    const { changed } = await followed(await post(`actions/${id}/undo`, {}));
    toast({ text: `${jobsIn(changed)} ${changed === 1 ? "waits" : "wait"} again` });
    done();
  } catch (error) {
    failed(error);
  }
}
