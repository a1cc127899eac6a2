// Building and updating elements. Text is always text: nothing here ever parses HTML.

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

// Writing the same text again would make screen readers and selections jump.
export function text(node, value) {
  const said = String(value ?? "");
  if (node.textContent !== said) node.textContent = said;
}

export function show(node, visible) {
  node.hidden = !visible;
}

export function width(node, percent) {
  const wide = `${Math.max(0, Math.min(100, percent || 0))}%`;
  if (node.style.width !== wide) node.style.width = wide;
}

// Keyed rows. While the pointer is on the list, or the keyboard in it, rows change in place but none
// appears, leaves or moves; what waits is done when it leaves.
export class Rows {
  constructor(host, { key, make, update, gone = (row) => row.classList.add("gone") }) {
    Object.assign(this, { host, key, make, update, gone });
    this.rows = new Map();
    this.held = false;
    this.waiting = null;
    const hold = () => (this.held = true);
    const free = () => {
      if (host.matches(":hover") || host.contains(document.activeElement)) return;
      this.held = false;
      if (this.waiting) this.set(this.waiting);
    };
    host.addEventListener("pointerenter", hold);
    host.addEventListener("focusin", hold);
    host.addEventListener("pointerleave", free);
    host.addEventListener("focusout", () => setTimeout(free));
  }

  set(items) {
    const wanted = new Map(items.map((item) => [this.key(item), item]));
    if (this.held && this.rows.size) {
      this.waiting = items;
      for (const [key, row] of this.rows) {
        if (wanted.has(key)) this.update(row, wanted.get(key));
        else this.gone(row);
      }
      return;
    }
    this.waiting = null;
    for (const [key, row] of this.rows) {
      if (!wanted.has(key)) {
        row.remove();
        this.rows.delete(key);
      }
    }
    let before = null;
    for (const [key, item] of wanted) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.make(item);
        this.rows.set(key, row);
      }
      row.classList.remove("gone");
      this.update(row, item);
      const place = before ? before.nextSibling : this.host.firstChild;
      if (row !== place) this.host.insertBefore(row, place);
      before = row;
    }
  }
}
