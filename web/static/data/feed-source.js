// The one EventSource of this browser: opened, watched, opened again where it stopped. Runs in a shared
// worker, or in the tab that leads the others.
//
// `on` is called with {frame}, {reset: true} or {state}: wait | live | lost | expired.

const SILENT = 40_000; // ms without even a heartbeat: the connection only looks alive
const PAUSES = [1000, 2000, 4000, 8000]; // ms before it is opened again

export function openFeed(base, on) {
  let source, heard, timer;
  let last = null; // id of the newest event: where the next connection goes on
  let failures = 0;
  let opened = false;

  function open() {
    const url = new URL("queue/status", base);
    if (last) url.searchParams.set("last_event_id", last);
    heard = Date.now();
    source = new EventSource(url);
    source.onopen = onOpen;
    source.onmessage = onMessage;
    source.onerror = onError;
    source.addEventListener("heartbeat", onBeat);
    source.addEventListener("reset", (event) => (onBeat(event), on({ reset: true })));
    source.addEventListener("bye", () => again(1000));
  }

  function onOpen() {
    failures = 0;
    on({ state: "live" });
    // What is read from now on leaves no gap before the stream. After a break, the stream itself leaves none.
    if (!opened || !last) on({ reset: true });
    opened = true;
  }

  function onMessage(event) {
    onBeat(event);
    on({ frame: JSON.parse(event.data) });
  }

  function onBeat({ lastEventId }) {
    heard = Date.now();
    if (lastEventId) last = lastEventId;
  }

  function onError() {
    on({ state: "lost" });
    // The browser tries again by itself, with the id it saw last, unless the answer was a refusal.
    if (source.readyState === EventSource.CLOSED) refused();
  }

  async function refused() {
    const answer = await fetch(new URL("me", base)).catch(() => null);
    if (answer?.status === 401) on({ state: "expired" });
    again(PAUSES[Math.min(failures++, PAUSES.length - 1)]);
  }

  function again(pause) {
    source.close();
    on({ state: "lost" });
    clearTimeout(timer);
    timer = setTimeout(open, pause);
  }

  setInterval(() => {
    if (source.readyState !== EventSource.CLOSED && Date.now() - heard > SILENT) again(0);
  }, 5000);
  on({ state: "wait" });
  open();
}
