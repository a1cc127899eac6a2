// The bar on top: where one is, search, the state of the connection, and what is set for this browser.

import { html } from "../view.js";
import { connection, live, setPaused } from "../data/live.js";
import { number } from "../data/format.js";
import { theme } from "../data/prefs.js";
import { may } from "../data/me.js";
import { Icon } from "../parts/icon.js";
import { openEnqueue } from "../parts/enqueue/dialog.js";
import { openPalette } from "./palette.js";
import { TimeButton } from "./time-bar.js";

const STATES = {
  live: ["good", "Live", "Every change is shown as it happens"],
  behind: ["warn", "Behind", "More happens than this page has shown yet"],
  redis: ["warn", "Live, slower", "Redis is away: claims go to PostgreSQL, nothing is lost"],
  database: ["bad", "Database away", "What is shown is the last that was known; workers go on and settle later"],
  lost: ["bad", "Reconnecting", "The server does not answer; what is shown is the last that was known"],
  wait: ["", "Connecting", "The stream is being opened"],
  paused: ["warn", "Held", "Updates are held; press p to follow again"],
  past: ["past", "The past", "What is shown is of that moment"],
};

export function Connection() {
  const kind = connection.value;
  const [tone, label, title] = STATES[kind];
  const more = { behind: live.behind.value, paused: live.held.value }[kind];
  return html`<span class=${`pill ${tone}`} role="status" title=${title} data-connection=${kind}>
    <i />${label}${more ? html` <span class="pill-more">by ${number(more)}</span>` : ""}</span>`;
}

function PauseButton() {
  const paused = live.paused.value;
  const label = paused ? "Follow live updates" : "Hold live updates";
  return html`<button type="button" class="icon-button" title=${`${label} (p)`} aria-label=${label} aria-pressed=${paused}
    onClick=${() => setPaused(!paused)}><${Icon} name=${paused ? "play" : "pause"} /></button>`;
}

const NEXT = { auto: "light", light: "dark", dark: "auto" };
const THEMES = { auto: ["auto", "as the system"], light: ["sun", "light"], dark: ["moon", "dark"] };

function ThemeButton() {
  const [icon, name] = THEMES[theme.value];
  const next = THEMES[NEXT[theme.value]][1];
  return html`<button type="button" class="icon-button" title=${`Theme: ${name}`} aria-label=${`Theme: ${name}. Switch to ${next}`}
    onClick=${() => (theme.value = NEXT[theme.value])}><${Icon} name=${icon} /></button>`;
}

export function Header() {
  return html`<header class="bar">
    <button type="button" class="find" onClick=${openPalette}>
      <${Icon} name="search" size=${16} /><span>Search or jump to</span><kbd>Ctrl K</kbd></button>
    <div class="bar-end">
      <${Connection} /><${TimeButton} /><${PauseButton} />
      ${may("produce") && html`<button type="button" class="primary small-hidden" onClick=${() => openEnqueue()}><${Icon} name="plus" size=${16} />Enqueue</button>`}
      <${ThemeButton} />
    </div>
  </header>`;
}
