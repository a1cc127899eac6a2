// What can be done with the chosen jobs. The row is always there, so that choosing moves nothing.

import { html } from "../../view.js";
import { exact, plural } from "../../data/format.js";
import { may } from "../../data/me.js";
import { act, ACTIONS } from "./bulk.js";

export function BulkBar({ list, selection, filters }) {
  const { any, all } = selection;
  return html`<div class=${`bulk-bar ${any ? "" : "idle"}`} role="toolbar" aria-label="Chosen jobs">
    <span aria-live="polite">${said(selection, list)}</span>
    ${any && !all && selection.whole && list.next && html`<button type="button" class="quiet" onClick=${selection.everything}>Choose all that match</button>`}
    ${!any && html`<button type="button" class="quiet" onClick=${selection.everything} disabled=${!list.jobs?.length}>Choose all that match</button>`}
    ${any && html`<button type="button" class="quiet" onClick=${selection.clear}>Clear</button>`}
    <span class="bulk-actions">
      ${ACTIONS.filter(({ scope }) => may(scope)).map((action) => html`<button type="button" key=${action.name} class=${action.danger ? "quiet bad" : ""} disabled=${!any}
        onClick=${() => act(action, { ...chosenOf(selection, list, filters), filters, done: () => (selection.clear(), list.reload()) })}>${action.label}</button>`)}
    </span>
  </div>`;
}

// The end of an id is no filter of actions: then what is listed is what matches.
const chosenOf = ({ ids, all }, { jobs }, { id }) => (all && id ? { ids: jobs.map((job) => job.id), all: false } : { ids: [...ids], all });

function said({ any, all, count }, list) {
  if (all) return "All that match are chosen";
  if (any) return `${plural(count, "job")} chosen`;
  const known = list.jobs?.length ?? 0;
  return list.next ? `${exact(known)} listed, and there are more` : plural(known, "job");
}
