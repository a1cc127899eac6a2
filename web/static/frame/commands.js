// What the palette offers. `offer` adds a page's own command for as long as the page is there.

import { useEffect } from "../view.js";
import { theme, zone } from "../data/prefs.js";
import { live, setPaused } from "../data/live.js";
import { logOut, may } from "../data/me.js";
import { openEnqueue } from "../parts/enqueue/dialog.js";
import { PLACES } from "../pages/table.js";
import { openHelp } from "./help.js";
import { open, toggle } from "./moment.js";
import { go } from "./router.js";

const offered = new Set();

// {name, icon, run}
export function useCommand(command) {
  useEffect(() => {
    offered.add(command);
    return () => offered.delete(command);
  });
}

export function commands() {
  return [...offered, ...places(), ...doings(), ...queues()];
}

const places = () =>
  PLACES.map(({ name, icon, path, key }) => ({ name: `Go to ${name}`, icon, key: `g ${key}`, run: () => go(path) }));

const queues = () =>
  Object.keys(live.queues.value ?? {}).map((name) => ({
    name: `Queue ${name}`, icon: "queue", run: () => go(`/queue/${encodeURIComponent(name)}`),
  }));

function doings() {
  const paused = live.paused.value;
  return [
    may("produce") && { name: "Enqueue a job", icon: "plus", run: () => openEnqueue() },
    { name: paused ? "Follow live updates" : "Hold live updates", icon: paused ? "play" : "pause", key: "p", run: () => setPaused(!paused) },
    { name: open.value ? "Close the time bar" : "Open the time bar", icon: "history", key: "t", run: toggle },
    { name: "Theme: light", icon: "sun", run: () => (theme.value = "light") },
    { name: "Theme: dark", icon: "moon", run: () => (theme.value = "dark") },
    { name: "Theme: as the system", icon: "auto", run: () => (theme.value = "auto") },
    { name: zone.value === "utc" ? "Times in local time" : "Times in UTC", icon: "clock", run: () => (zone.value = zone.value === "utc" ? "local" : "utc") },
    { name: "Keys", icon: "keyboard", key: "?", run: openHelp },
    { name: "API documentation", icon: "code", run: () => window.open("docs", "_blank", "noopener") },
    { name: "Log out", icon: "logout", run: logOut },
  ].filter(Boolean);
}
