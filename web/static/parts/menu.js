// A button and what it opens below it. It closes as menus do: by Escape, by a click elsewhere, when the focus leaves it.

import { html, useEffect, useRef } from "../view.js";
import { Icon } from "./icon.js";

export function Menu({ label, icon, children }) {
  const place = useRef(null);
  useEffect(() => closing(place.current), []);
  return html`<details class="menu" ref=${place}>
    <summary class="button"><${Icon} name=${icon} size=${16} />${label}</summary>
    ${children}
  </details>`;
}

function closing(menu) {
  const shut = () => (menu.open = false);
  const elsewhere = ({ target }) => menu.contains(target) || shut();
  const left = ({ relatedTarget: next }) => next && !menu.contains(next) && shut();
  // Before the page's own keys, for which Escape means something else.
  const key = (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    shut();
    menu.querySelector("summary").focus();
  };
  document.addEventListener("pointerdown", elsewhere);
  document.addEventListener("keydown", key, true);
  menu.addEventListener("focusout", left);
  return () => {
    document.removeEventListener("pointerdown", elsewhere);
    document.removeEventListener("keydown", key, true);
  };
}
