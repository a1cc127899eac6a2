// The server's time: this machine's clock may be wrong, and looking at the past, "now" is that moment.

import { signal } from "../view.js";
import { at } from "../frame/router.js";

let ahead = 0;
// The moment of the past that is looked at, in ms: at once where the address names a time, and where it names a
// position as soon as an answer tells. Of a replay it moves.
export const then = signal(null);

at.subscribe((moment) => {
  const time = moment && !/^\d+$/.test(moment) ? Date.parse(moment) : NaN;
  if (!moment) then.value = null;
  else if (!Number.isNaN(time)) then.value = time;
});

// `timestamp` as an answer or a frame gives it.
export function heard(timestamp) {
  const time = Date.parse(timestamp);
  if (Number.isNaN(time)) return;
  if (at.value) then.value = time;
  else ahead = time - Date.now();
}

export const present = () => Date.now() + ahead;
export const now = () => (at.value ? (then.value ?? present()) : present());

// Changes once a second, so that whatever reads it is drawn anew.
export const second = signal(Date.now());
setInterval(() => {
  if (!document.hidden) second.value = now();
}, 1000);
