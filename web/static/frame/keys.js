// Keys for all pages. A page adds its own with `useKeys({ j: next, k: previous })`; they work where nobody types.

import { useEffect, useRef } from "../view.js";
import { PLACES } from "../pages/table.js";
import { dialogIsOpen } from "./dialog.js";
import { openHelp } from "./help.js";
import { openPalette } from "./palette.js";
import { go } from "./router.js";
import { rowKey } from "./row-keys.js";

const handlers = new Set();
let afterG = 0;

const typing = ({ target }) => target.closest?.("input, textarea, select, [contenteditable]");

export function useKeys(keys) {
  const newest = useRef(keys);
  newest.current = keys;
  useEffect(() => {
    const handler = (key) => newest.current[key];
    handlers.add(handler);
    return () => handlers.delete(handler);
  }, []);
}

function search() {
  const field = document.querySelector("main [data-search]");
  if (field) field.focus();
  else go("/jobs", { focus: 1 });
}

function global(key) {
  if (key === "/") return search;
  if (key === "?") return openHelp;
  if (key === "g") return () => (afterG = Date.now());
  return rowKey(key);
}

function second(key) {
  const place = Date.now() - afterG < 1500 && PLACES.find((page) => page.key === key);
  afterG = 0;
  return place ? () => go(place.path) : null;
}

function chosen(key) {
  const then = second(key);
  if (then) return then;
  for (const handler of handlers) {
    const found = handler(key);
    if (found) return found;
  }
  return global(key);
}

export function startKeys() {
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      return openPalette();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event) || dialogIsOpen()) return undefined;
    const run = chosen(event.key);
    if (!run) return undefined;
    event.preventDefault();
    return run(event);
  });
}
