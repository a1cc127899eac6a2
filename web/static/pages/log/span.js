// A stretch of the log that is shown: all that fits of the positions after `oldest` up to `newest`, the newest first. It
// grows only by what touches it and is cut only at its old end, where `oldest` follows: nothing is twice in it and
// nothing is missing, whatever was asked twice, came late or did not come. Pure.
//
//   part                 {events, from, upto}: what was read, all that fits after `from` up to `upto`
//   above(span, part)    with newer events; what lies beyond a gap begins a span of its own
//   below(span, part)    with older ones; as it was when there would be a gap

const MOST = 3000; // events kept, and those that were looked for further back

export function above(span, { events, from, upto }) {
  if (!span || from > span.newest) return { events, oldest: from, newest: upto, most: MOST };
  const all = [...events.filter(({ position }) => position > span.newest), ...span.events];
  const kept = { ...span, events: all, newest: Math.max(span.newest, upto) };
  return all.length > span.most ? { ...kept, events: all.slice(0, span.most), oldest: all[span.most - 1].position - 1 } : kept;
}

export function below(span, { events, from, upto }) {
  if (upto < span.oldest || from >= span.oldest) return span;
  const found = events.filter(({ position }) => position <= span.oldest);
  return { ...span, events: [...span.events, ...found], oldest: from, most: span.most + found.length };
}

// A span as something that was read.
export const partOf = ({ events, oldest, newest }) => ({ events, from: oldest, upto: newest });
