// A Hivelog worker in plain JavaScript: Node 18 or newer, no packages.
//
//   HIVELOG_URL=http://localhost:8889 HIVELOG_TOKEN=... node worker.mjs
//
// Register once, claim, run, settle; beat every few seconds. A job is ours while its token is; what the
// heartbeat calls lost, another worker may run by now.

const url = process.env.HIVELOG_URL ?? "http://localhost:8889";
const token = process.env.HIVELOG_TOKEN ?? "";
const slots = 4;

const handlers = {
  echo: async (payload) => ({ echo: payload }),
  slow: async (payload, job) => {
    for (let step = 1; step <= 10 && !job.cancelled; step++) {
      await sleep(500);
      job.progress(step * 10, `step ${step} of 10`);
    }
    if (job.cancelled) throw new Error("stopped as asked");
    return { steps: 10 };
  },
  broken: async () => {
    throw new TypeError("broken on purpose");
  },
};

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function post(path, body) {
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(said.error), { code: said.code, status: answer.status });
  return said;
}

// The database may be away for a while: what must be said is said again until it is heard.
async function insist(path, body) {
  for (let pause = 200; ; pause = Math.min(pause * 2, 5000)) {
    try {
      return await post(path, body);
    } catch (error) {
      if (error.status && error.status < 500 && error.status !== 429) throw error;
      await sleep(pause);
    }
  }
}

const running = new Map(); // token -> job
let stopping = false;

async function run(session, leased) {
  const job = {
    ...leased,
    cancelled: false,
    report: null,
    progress(percent, message) {
      this.report = { token: leased.token, percent, message };
    },
  };
  running.set(leased.token, job);
  const item = { token: leased.token };
  try {
    item.result = (await handlers[leased.type](leased.payload, job)) ?? null;
    item.outcome = "completed";
  } catch (error) {
    item.outcome = "failed";
    item.error = { type: error.name, message: String(error.message), traceback: String(error.stack) };
  }
  running.delete(leased.token);
  if (job.lost) return; // the attempt is somebody else's now
  const { items } = await insist("/workers/settle", { session, items: [item] });
  if (!items[0].accepted) console.error(`job ${leased.id}: ${items[0].code}`);
}

async function beat(session) {
  const progress = [...running.values()].map((job) => job.report).filter(Boolean);
  for (const job of running.values()) job.report = null;
  try {
    const said = await post("/workers/heartbeat", { session, tokens: [...running.keys()], progress });
    for (const of of said.cancel) if (running.has(of)) running.get(of).cancelled = true;
    for (const of of said.lost) if (running.has(of)) running.get(of).lost = running.get(of).cancelled = true;
    return said.alive;
  } catch (error) {
    console.error("heartbeat:", error.message);
    return true;
  }
}

async function main() {
  const { session, heartbeat_seconds } = await insist("/workers/register", {
    name: `node-${process.pid}`,
    queues: ["default"],
    types: Object.keys(handlers),
    slots,
    pid: process.pid,
  });
  let alive = true;
  const timer = setInterval(async () => (alive = (await beat(session)) && alive), heartbeat_seconds * 1000);
  const jobs = new Set();
  while (!stopping && alive) {
    const free = slots - jobs.size;
    if (free === 0) {
      await Promise.race(jobs);
      continue;
    }
    // One id a claim: if the answer is lost on the way, the same question gets the same jobs.
    const claim = { session, claim_id: crypto.randomUUID(), limit: free, wait: 1 };
    for (const leased of (await insist("/workers/claim", claim)).jobs) {
      const one = run(session, leased).finally(() => jobs.delete(one));
      jobs.add(one);
    }
  }
  await Promise.allSettled(jobs);
  clearInterval(timer);
  if (alive) await insist("/workers/leave", { session });
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => (stopping = true));
await main();
