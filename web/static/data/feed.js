// The live feed, one stream a browser: in a shared worker; where there is none, one tab holds the stream and
// tells the others, and when it closes another takes over. `taken` says that the next batch may come.

import { base } from "./api.js";
import { Batch, Latest } from "./feed-batch.js";
import { openFeed } from "./feed-source.js";

const OFTEN = 100; // ms

export function follow(onBatch) {
  if ("SharedWorker" in window) return bySharedWorker(onBatch);
  if ("BroadcastChannel" in window && navigator.locks) return byElection(onBatch);
  return alone(onBatch, () => {});
}

function bySharedWorker(onBatch) {
  const worker = new SharedWorker(new URL("./feed-shared.js", import.meta.url), { type: "module", name: "hivelog-feed" });
  const { port } = worker;
  port.onmessage = ({ data }) => onBatch(data, () => port.postMessage("taken"));
  addEventListener("pagehide", () => port.postMessage("closed"));
  // Back out of the browser's cache: what happened meanwhile is read anew.
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
}

function byElection(onBatch) {
  const channel = new BroadcastChannel("hivelog-feed");
  const latest = new Latest();
  let leads = false;
  channel.onmessage = ({ data }) => {
    if (data.hello) leads && channel.postMessage({ ...latest.batch() });
    else if (!leads) onBatch(data, () => {});
  };
  channel.postMessage({ hello: true });
  navigator.locks.request("hivelog-feed", () => {
    leads = true;
    alone(onBatch, (batch) => channel.postMessage(batch), latest);
    return new Promise(() => {}); // held until the tab closes
  });
}

// The stream in this very tab; `tell` passes batches on.
function alone(onBatch, tell, latest = new Latest()) {
  let batch = new Batch();
  openFeed(base, (said) => (latest.add(said), batch.add(said)));
  setInterval(() => {
    if (!batch.any) return;
    const made = { ...batch };
    batch = new Batch();
    tell(made);
    onBatch(made, () => {});
  }, OFTEN);
}
