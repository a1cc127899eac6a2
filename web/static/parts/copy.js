import { html, useState } from "../view.js";
import { Icon } from "./icon.js";

// A button that puts `text` (or what it answers, when it is a function) on the clipboard.
export function Copy({ text, label = "Copy" }) {
  const [done, setDone] = useState(false);
  async function copy() {
    await navigator.clipboard?.writeText(typeof text === "function" ? text() : text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  }
  return html`<button type="button" class="icon-button" title=${label} aria-label=${done ? "Copied" : label} onClick=${copy}>
    <${Icon} name=${done ? "check" : "copy"} size=${16} />
  </button>`;
}
