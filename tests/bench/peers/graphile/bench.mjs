// Graphile Worker as the peer, set up as fast as its documentation says: local queue of the size of the
// concurrency, completions batched, no line logged per job. It deletes finished jobs and keeps no history.
// The clock starts when its local queue begins to fetch and stops when no job row is left, seen from a
// connection of its own. Prints one line of JSON.
//
//     node bench.mjs <connection string> <jobs> <concurrency>
process.env.NO_LOG_SUCCESS = "1";

const { Logger, makeWorkerUtils, run } = await import("graphile-worker");
const { EventEmitter } = await import("node:events");
const { setTimeout: sleep } = await import("node:timers/promises");
const { default: pg } = await import("pg");

const [connectionString, jobsText, concurrencyText] = process.argv.slice(2);
const jobs = Number(jobsText);
const concurrency = Number(concurrencyText);
const BULK = 1000;
const payload = { data: "x".repeat(88) };
const logger = new Logger(() => (level, message) => {
  if (level === "error") console.error(message);
});
const preset = {
  worker: {
    connectionString,
    logger,
    concurrentJobs: concurrency,
    maxPoolSize: 10,
    localQueue: { size: concurrency },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
};

async function enqueue() {
  const utils = await makeWorkerUtils({ preset });
  await utils.migrate();
  const started = performance.now();
  for (let left = jobs; left > 0; left -= BULK) {
    const specs = Array.from({ length: Math.min(BULK, left) }, () => ({ identifier: "noop", payload }));
    await utils.addJobs(specs);
  }
  const seconds = (performance.now() - started) / 1000;
  await utils.release();
  return seconds;
}

async function untilEmpty(client) {
  const query = "select not exists (select from graphile_worker._private_jobs) as empty";
  while (!(await client.query(query)).rows[0].empty) await sleep(2);
}

async function work() {
  const observer = new pg.Client({ connectionString });
  await observer.connect();
  const events = new EventEmitter();
  let started = 0;
  events.once("localQueue:init", () => (started = performance.now()));
  let ran = 0;
  let finish;
  const allRan = new Promise((resolve) => (finish = resolve));
  const noop = async () => {
    if (++ran === jobs) finish();
    return { ok: true };
  };
  const runner = await run({ preset: { worker: { ...preset.worker, events } }, taskList: { noop }, noHandleSignals: true });
  await allRan;
  await untilEmpty(observer);
  const seconds = (performance.now() - started) / 1000;
  await runner.stop();
  await observer.end();
  return seconds;
}

const bulk_seconds = await enqueue();
const seconds = await work();
console.log(JSON.stringify({ jobs, bulk_seconds, seconds, node: process.version }));
