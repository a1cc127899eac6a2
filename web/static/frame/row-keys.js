// Walking through the rows of a page by key: j and k (once begun, the arrows too) move, Enter or o opens. It goes by
// what stands on the page, so every list has it; a page whose rows can be chosen has keys of its own before these.

const ROWS = "main table tbody > tr:not(.sample), main ul.rows > li, main .windowed-seen > li";
const OPENS = "a[href], button:not([disabled])";

let current = null;

// An attribute that no component writes, so that drawing anew leaves it where it is.
function mark(row) {
  current?.removeAttribute("data-current");
  current = row;
  row?.setAttribute("data-current", "");
}

const seen = (row) => row.getClientRects().length > 0;
const there = () => current?.isConnected;

function step(by) {
  const rows = [...document.querySelectorAll(ROWS)].filter(seen);
  if (!rows.length) return;
  const place = there() ? rows.indexOf(current) + by : rows.findIndex((row) => row.getBoundingClientRect().bottom > 0);
  document.activeElement?.blur?.(); // Enter means the row from now on
  mark(rows[Math.min(rows.length - 1, Math.max(0, place))]);
  current.scrollIntoView({ block: "nearest" });
}

const open = () => current.querySelector(OPENS)?.click();
// Enter belongs to what has the focus, where that is something to press; elsewhere it opens the row.
export const ownsEnter = () => document.activeElement?.closest?.("button, a, summary");

const KEYS = { j: () => step(1), k: () => step(-1) };
const BEGUN = { ArrowDown: () => step(1), ArrowUp: () => step(-1), o: open, Enter: open, Escape: () => mark(null) };

// What a key does here; undefined for nothing.
export function rowKey(key) {
  if (key in KEYS) return document.querySelector(ROWS) ? KEYS[key] : undefined;
  if (!there() || (key === "Enter" && ownsEnter())) return undefined;
  return BEGUN[key];
}
