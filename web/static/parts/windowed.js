// A long list of which only what can be seen is in the page. All rows have the same height.
//
//   <Windowed rows=list height=36 row=${(item) => html`...`} key=${(item) => item.position} label="Events" onScroll=... />

import { html, useLayoutEffect, useRef, useState } from "../view.js";

const MARGIN = 8; // rows above and below what is seen

export function Windowed({ rows, height, row, keyOf, label, onTop, place }) {
  const own = useRef(null);
  const box = place ?? own;
  const [top, setTop] = useState(0);
  const [room, setRoom] = useState(600);

  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setRoom(entry.contentRect.height));
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);

  function onScroll({ target }) {
    setTop(target.scrollTop);
    onTop?.(target.scrollTop < height);
  }

  const first = Math.max(0, Math.floor(top / height) - MARGIN);
  const last = Math.min(rows.length, Math.ceil((top + room) / height) + MARGIN);
  return html`<div class="windowed" ref=${box} tabindex="0" role="region" aria-label=${label} onScroll=${onScroll}>
    <div class="windowed-all" style=${{ height: `${rows.length * height}px` }}>
      <ol class="windowed-seen" style=${{ transform: `translateY(${first * height}px)` }}>
        ${rows.slice(first, last).map((item, n) => html`<li key=${keyOf(item)} style=${{ height: `${height}px` }} aria-setsize=${rows.length} aria-posinset=${first + n + 1}>${row(item)}</li>`)}
      </ol></div></div>`;
}
