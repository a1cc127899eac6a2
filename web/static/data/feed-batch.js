// Frames gathered for one tab until it has time: all job updates in order, and only the newest of the rest.
//
// A batch: {jobs, stats, workers, health, state, reset, dropped, behind}. `dropped`: more came than a slow tab
// may hold, so it reads its lists again.

const MOST = 20_000;
const LATE = 1000; // positions; less is the ordinary way of things

export class Batch {
  constructor() {
    this.jobs = [];
    this.dropped = 0;
    this.any = false;
  }

  add(said) {
    this.any = true;
    if (said.state) this.state = said.state;
    else if (said.reset) this.#reset();
    else this.#frame(said.frame);
  }

  #reset() {
    this.jobs = [];
    this.reset = true;
  }

  #frame(frame) {
    if (frame.type === "job_update") this.#job(frame);
    else if (frame.type === "queue_stats") this.#stats(frame);
    else if (frame.type === "worker_status") this.workers = frame;
    else if (frame.type === "health") this.health = frame.data;
  }

  #job(frame) {
    if (this.jobs.length >= MOST) {
      this.dropped += this.jobs.length;
      this.jobs = [];
    }
    this.jobs.push({ ...frame.data, position: frame.position, at: frame.timestamp });
  }

  #stats(frame) {
    this.stats = frame;
    // Statistics are of now; job updates in between say how far the stream itself has come.
    const told = this.jobs.at(-1)?.position ?? frame.position;
    this.behind = frame.position - told > LATE ? frame.position - told : 0;
  }
}

// What a tab that comes later must know at once.
export class Latest {
  #known = new Map();

  add(said) {
    const kind = said.state ? "state" : said.frame?.type;
    if (kind && kind !== "job_update") this.#known.set(kind, said);
  }

  batch() {
    const made = new Batch();
    for (const said of this.#known.values()) made.add(said);
    made.add({ reset: true });
    return made;
  }
}
