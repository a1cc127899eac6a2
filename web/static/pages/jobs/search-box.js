// Where one types what to look for: chips of what is chosen already, and completion of names and values.

import { html, useId, useRef, useState } from "../../view.js";
import { Icon } from "../../parts/icon.js";
import { complete, useSuggestions } from "./suggestions.js";
import { added, chips } from "./filters.js";

export function SearchBox({ filters, change, field }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(-1);
  const [open, setOpen] = useState(false);
  const list = useId();
  const suggestions = useSuggestions(open ? text : null);
  const shown = open && suggestions.length > 0;
  const type = (value) => (setText(value), setChosen(-1));

  // What was found is not to be covered: names are suggested again when one goes on.
  function submit(whole = text) {
    if (!whole.trim()) return;
    type("");
    setOpen(false);
    change(added(filters, whole));
  }
  function take(suggestion) {
    const whole = complete(text, suggestion);
    if (suggestion.whole) return submit(whole);
    type(whole);
    return field.current.focus();
  }
  const remove = ({ changes }) => (change({ ...filters, ...changes }), field.current.focus(), setOpen(false));

  function onKeyDown(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && !open) setOpen(true);
    else if (step && shown) setChosen((chosen + step + suggestions.length + 1) % (suggestions.length + 1));
    else if (event.key === "Tab" && shown && chosen >= 0) take(suggestions[chosen]);
    else if (event.key === "Enter") chosen >= 0 && shown && suggestions[chosen] ? take(suggestions[chosen]) : submit();
    else if (event.key === "Backspace" && !text) {
      const last = chips(filters).at(-1);
      if (last) remove(last);
    } else if (event.key === "Escape") open && text ? setOpen(false) : field.current.blur();
    else return;
    event.preventDefault();
  }

  return html`<div class="search-box">
    <div class="search-line" onClick=${(event) => event.target === event.currentTarget && field.current.focus()}>
      <${Icon} name="search" size=${18} />
      <${Chips} filters=${filters} remove=${remove} />
      <input type="text" data-search ref=${field} role="combobox" aria-expanded=${shown} aria-controls=${list} aria-autocomplete="list"
        aria-label="Search jobs" aria-activedescendant=${shown && chosen >= 0 ? `${list}-${chosen}` : null}
        placeholder=${Object.keys(filters).length ? "and" : "state:failed  user_id:u1  words of an error"} autocomplete="off" autocapitalize="off"
        spellcheck=${false} maxlength="500" value=${text} onFocus=${() => setOpen(true)} onClick=${() => setOpen(true)} onBlur=${() => setOpen(false)}
        onInput=${(event) => (type(event.target.value), setOpen(true))} onKeyDown=${onKeyDown} />
      ${Object.keys(filters).length > 0 && html`<button type="button" class="icon-button" aria-label="Clear the search" onClick=${() => change({})}><${Icon} name="close" size=${16} /></button>`}
    </div>
    <ul id=${list} class="suggestions" role="listbox" aria-label="Suggestions" hidden=${!shown}>
      ${shown && suggestions.map((one, n) => html`<li key=${one.text} id=${`${list}-${n}`} role="option" aria-selected=${n === chosen}
        onMouseDown=${(event) => (event.preventDefault(), take(one))}><b>${one.text}</b><span class="dim">${one.hint}</span></li>`)}
    </ul>
  </div>`;
}

function Chips({ filters, remove }) {
  return chips(filters).map((chip) => html`<span class="chip" key=${`${chip.label}:${chip.value}`}>
    <span class="dim">${chip.label}</span> <b>${chip.value}</b>
    <button type="button" aria-label=${`Remove ${chip.label} ${chip.value}`} onClick=${() => remove(chip)}><${Icon} name="close" size=${14} /></button>
  </span>`);
}
