// The command palette: every page, queue and command by a few letters of its name, and a job by its id.

import { html, useMemo, useRef, useState } from "../view.js";
import { Icon } from "../parts/icon.js";
import { commands } from "./commands.js";
import { openDialog } from "./dialog.js";
import { go } from "./router.js";

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const END = /^[0-9a-f]{8}$/i; // as ids are shown
const MOST = 12;

export function openPalette() {
  return openDialog(({ close }) => html`<${Palette} close=${close} />`, { label: "Command palette" });
}

// Letters in order, the closer together and nearer the start of a word the better; null: no match.
export function score(text, wanted) {
  const lower = text.toLowerCase();
  let at = -1;
  let total = 0;
  for (const letter of wanted.toLowerCase().replaceAll(" ", "")) {
    const next = lower.indexOf(letter, at + 1);
    if (next < 0) return null;
    total += (next - at - 1) * (next && lower[next - 1] === " " ? 0.2 : 1);
    at = next;
  }
  return total + text.length / 100;
}

function matching(all, text) {
  const wanted = text.trim();
  if (ID.test(wanted)) return [{ name: `Open job ${wanted}`, icon: "jobs", run: () => go(`/job/${wanted.toLowerCase()}`) }];
  const job = END.test(wanted) ? [{ name: `Find the job …${wanted}`, icon: "jobs", run: () => go("/jobs", { id: wanted.toLowerCase() }) }] : [];
  const scored = all.map((command) => [score(command.name, wanted), command]).filter(([points]) => points !== null);
  const found = wanted ? scored.sort(([a], [b]) => a - b) : scored;
  const list = [...job, ...found.slice(0, MOST).map(([, command]) => command)];
  if (wanted) list.push({ name: `Search jobs for “${wanted}”`, icon: "search", run: () => go("/jobs", { q: wanted }) });
  return list;
}

function Palette({ close }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const list = useRef(null);
  const all = useMemo(commands, []);
  const found = matching(all, text);

  function run(command) {
    close();
    // After the dialog has given the focus back: what runs may open another.
    setTimeout(() => command.run());
  }
  function move(by) {
    const next = (chosen + by + found.length) % found.length;
    setChosen(next);
    list.current.children[next]?.scrollIntoView({ block: "nearest" });
  }
  function onKeyDown(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) event.preventDefault(), move(step);
    else if (event.key === "Enter" && found[chosen]) event.preventDefault(), run(found[chosen]);
  }

  return html`<div class="palette">
    <input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label="Command, page, queue or job id"
      aria-activedescendant=${found[chosen] ? `palette-${chosen}` : null} placeholder="Type a command, a queue or a job's id" autofocus
      autocomplete="off" spellcheck=${false} value=${text} onKeyDown=${onKeyDown}
      onInput=${(event) => (setText(event.target.value), setChosen(0))} />
    <ul id="palette-list" role="listbox" aria-label="Commands" ref=${list}>
      ${found.map((command, n) => html`<li key=${command.name} id=${`palette-${n}`} role="option" aria-selected=${n === chosen}
        onMouseMove=${() => n !== chosen && setChosen(n)} onClick=${() => run(command)}>
        <${Icon} name=${command.icon} /><span>${command.name}</span>${command.key && html`<kbd>${command.key}</kbd>`}</li>`)}
    </ul>
  </div>`;
}
