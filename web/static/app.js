// The dashboard's beginning: who is looking, then the frame, the page and the live stream.

import { html, render } from "./view.js";
import "./data/prefs.js";
import { live, readFirst, setPaused, startLive } from "./data/live.js";
import { me, readMe } from "./data/me.js";
import { startPlayer } from "./data/player.js";
import { DialogHost } from "./frame/dialog.js";
import { Header } from "./frame/header.js";
import { startKeys, useKeys } from "./frame/keys.js";
import { Nav } from "./frame/nav.js";
import { found, Page } from "./frame/page.js";
import { route } from "./frame/router.js";
import { TimeBar } from "./frame/time-bar.js";
import { Toasts } from "./frame/toasts.js";
import { ErrorBox } from "./parts/states.js";

function App() {
  useKeys({ p: () => setPaused(!live.paused.value) });
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the page</a>
    <${Nav} /><${Header} /><${TimeBar} /><${Page} /><${Toasts} /><${DialogHost} />`;
}

// The address after # is the page's, so the link cannot do it by itself.
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

const root = document.getElementById("app");

async function start() {
  found(route.value.path)?.page.load().catch(() => {});
  if (!live.queues.value) readFirst();
  try {
    await readMe();
  } catch (error) {
    render(html`<main><${ErrorBox} error=${error} retry=${start} /></main>`, root);
    setTimeout(() => me.value || start(), 3000);
    return;
  }
  startKeys();
  startLive();
  startPlayer();
  render(html`<${App} />`, root);
}

start();
