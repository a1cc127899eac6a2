// Lists that do not move under a hand: while the pointer is on one, or text in it is selected, or the focus is
// inside by keyboard, the old content stays. `pending` says that newer content waits.

import { useEffect, useRef, useState } from "../view.js";

const selecting = (node) => {
  const chosen = getSelection();
  return !chosen.isCollapsed && node.contains(chosen.anchorNode);
};
const focused = (node) => node.contains(document.activeElement) && document.activeElement.matches(":focus-visible");

// Answers [what to show, ref for the list's element, whether newer content waits].
export function useHeld(value) {
  const element = useRef(null);
  const shown = useRef(value);
  const over = useRef(false);
  const [, redraw] = useState(0);

  const held = element.current && shown.current !== null && (over.current || selecting(element.current) || focused(element.current));
  if (!held) shown.current = value;

  useEffect(() => {
    const node = element.current;
    if (!node) return undefined;
    const free = () => redraw((n) => n + 1);
    const enter = ({ pointerType }) => (over.current = pointerType === "mouse");
    const leave = () => ((over.current = false), free());
    const events = { pointerenter: enter, pointerleave: leave, focusout: free };
    for (const [name, handler] of Object.entries(events)) node.addEventListener(name, handler);
    return () => Object.entries(events).forEach(([name, handler]) => node.removeEventListener(name, handler));
  }, [element.current]);

  return [shown.current, element, shown.current !== value];
}
