// What a person has chosen for this browser. Each is a signal; setting one keeps it.

import { effect, signal } from "../view.js";

function kept(name, fallback) {
  const key = `hivelog.${name}`;
  let value = fallback;
  try {
    value = JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    // Nothing kept, or no storage: the fallback.
  }
  const made = signal(value);
  let first = true;
  effect(() => {
    const now = JSON.stringify(made.value);
    if (first) return void (first = false);
    try {
      localStorage.setItem(key, now);
    } catch {
      // Storage full or forbidden: the choice holds until the page is left.
    }
  });
  return made;
}

export const theme = kept("theme", "auto"); // auto | light | dark
export const zone = kept("zone", "local"); // local | utc
export const span = kept("span", "1h"); // the overview's chart: 15m | 1h | 24h | 30d
export { kept };

effect(() => {
  const { dataset } = document.documentElement;
  if (theme.value === "auto") delete dataset.theme;
  else dataset.theme = theme.value;
});
