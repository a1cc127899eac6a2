// The live feed. Browsers open six connections a server: so one tab holds the stream and tells the others,
// and when it closes, another takes over.

const SILENT = 40_000; // ms without a heartbeat: the connection only looks alive

export function follow({ onFrame, onState, onReset }) {
  const shared = "BroadcastChannel" in window && navigator.locks ? new BroadcastChannel("hivelog-feed") : null;
  if (!shared) {
    listen({ onFrame, onState, onReset });
    return;
  }
  let leading = false;
  shared.onmessage = ({ data }) => {
    if (data.kind === "frame") onFrame(data.frame);
    else if (data.kind === "state") onState(data.state);
    else if (data.kind === "reset") onReset();
    else if (data.kind === "hello" && leading) shared.postMessage({ kind: "state", state: leading });
  };
  shared.postMessage({ kind: "hello" });
  onReset();
  navigator.locks.request("hivelog-feed", () => {
    leading = "wait";
    listen({
      onFrame: (frame) => (onFrame(frame), shared.postMessage({ kind: "frame", frame })),
      onState: (state) => ((leading = state), onState(state), shared.postMessage({ kind: "state", state })),
      onReset: () => (onReset(), shared.postMessage({ kind: "reset" })),
    });
    return new Promise(() => {}); // held until the tab closes
  });
}

function listen({ onFrame, onState, onReset }) {
  let source, heard, timer;
  let first = true;

  function open() {
    onState(first ? "wait" : "lost");
    source = new EventSource("queue/status");
    heard = Date.now();
    source.onopen = () => {
      onState("live");
      first = false;
      onReset(); // the stream is open, so what is read from now on leaves no gap before it
    };
    source.onmessage = ({ data }) => {
      heard = Date.now();
      onFrame(JSON.parse(data));
    };
    source.addEventListener("heartbeat", () => (heard = Date.now()));
    source.addEventListener("reset", () => onReset());
    source.addEventListener("bye", () => again(1000));
    source.onerror = () => {
      onState("lost");
      // The browser tries again by itself, unless the answer was a refusal.
      if (source.readyState === EventSource.CLOSED) again(3000);
    };
  }

  function again(pause) {
    source.close();
    onState("lost");
    clearTimeout(timer);
    timer = setTimeout(open, pause);
  }

  setInterval(() => {
    if (Date.now() - heard > SILENT) again(0);
  }, 5000);
  open();
}
