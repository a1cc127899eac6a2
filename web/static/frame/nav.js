// The way to every page, and the queues with what waits in each.

import { html } from "../view.js";
import { live } from "../data/live.js";
import { number } from "../data/format.js";
import { logOut, me } from "../data/me.js";
import { PLACES } from "../pages/table.js";
import { Icon } from "../parts/icon.js";
import { openMore } from "./more.js";
import { found } from "./page.js";
import { href, route } from "./router.js";

// On a phone there is room for these; the others are under "More".
const FIRST = ["/", "/jobs", "/failures", "/workers"];

function here() {
  const page = found(route.value.path)?.page;
  return page?.under ?? page?.path;
}

function Place({ page, current }) {
  return html`<li class=${FIRST.includes(page.path) ? "" : "later"}>
    <a href=${href(page.path)} aria-current=${current ? "page" : null}><${Icon} name=${page.icon} /><span>${page.name}</span></a></li>`;
}

function QueueItem({ name, stats }) {
  const path = `/queue/${encodeURIComponent(name)}`;
  return html`<li><a href=${href(path)} aria-current=${route.value.path === path ? "page" : null} title=${name}>
    <i class=${`dot ${tone(stats)}`} /><span>${name}</span><b>${number(stats.depth)}</b></a></li>`;
}

export function tone(stats) {
  if (stats.paused) return "warn";
  if (stats.queued && !stats.workers) return "bad";
  return stats.processing ? "good" : "";
}

export function Nav() {
  const at = here();
  const queues = Object.entries(live.queues.value ?? {});
  return html`<nav class="rail" aria-label="Main">
    <a class="brand" href=${href("/")}><img src=${new URL("../icon.svg", import.meta.url)} alt="" width="26" height="26" /><b>Hivelog</b></a>
    <ul class="places">
      ${PLACES.map((page) => html`<${Place} key=${page.path} page=${page} current=${page.path === at} />`)}
      <li class="more"><button type="button" onClick=${openMore}><${Icon} name="more" /><span>More</span></button></li>
    </ul>
    <h2 class="rail-title">Queues</h2>
    <ul class="rail-queues">${queues.map(([name, stats]) => html`<${QueueItem} key=${name} name=${name} stats=${stats} />`)}</ul>
    <footer class="rail-end"><span title=${me.value.user}>${me.value.user.replace(/^user:/, "")} · ${me.value.role}</span>
      <button type="button" class="icon-button" title="Log out" aria-label="Log out" onClick=${logOut}><${Icon} name="logout" size=${16} /></button></footer>
  </nav>`;
}
