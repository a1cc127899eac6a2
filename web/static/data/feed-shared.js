// The shared worker: one stream for all tabs. Each tab gets a batch, and the next one when it has taken that:
// a slow or hidden tab holds up nobody.

import { Batch, Latest } from "./feed-batch.js";
import { openFeed } from "./feed-source.js";

const OFTEN = 50; // ms
const base = new URL("../../../", import.meta.url).href;
const tabs = new Set();
const latest = new Latest();
let started = false;

self.onconnect = ({ ports: [port] }) => {
  const tab = { port, batch: latest.batch(), waiting: false };
  port.onmessage = ({ data }) => {
    if (data === "taken") tab.waiting = false;
    else if (data === "closed") tabs.delete(tab);
    deliver(tab);
  };
  tabs.add(tab);
  deliver(tab);
  if (!started) openFeed(base, hear);
  started = true;
};

function hear(said) {
  latest.add(said);
  for (const tab of tabs) tab.batch.add(said);
}

function deliver(tab) {
  if (tab.waiting || !tab.batch.any) return;
  tab.waiting = true;
  tab.port.postMessage({ ...tab.batch });
  tab.batch = new Batch();
}

setInterval(() => tabs.forEach(deliver), OFTEN);
