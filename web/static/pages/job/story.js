// A job's life out of its events: what it was doing when, for how long, and who did it. Pure.
//
//   phases(events, now)   [{kind: "waiting" | "running" | "pausing" | "over", from, to, attempt, outcome, share, folded}]
//   steps(events)         the events as read by people: progress of one attempt is one step

const WAITS = new Set(["enqueued", "queued", "released", "requeued", "routed"]);
const ENDS = new Set(["completed", "failed", "cancelled", "expired"]);
const FOLDED_FROM = 4; // a wait longer than this many times all running is folded

const time = (event) => Date.parse(event.recorded_at);

// The phase that an event begins, or null where it begins none.
function begins(event) {
  if (event.type === "started") return "running";
  if (ENDS.has(event.type)) return "over";
  if (event.type === "retry_scheduled") return "pausing";
  if (event.type === "enqueued" && future(event)) return "pausing";
  if (event.type === "lost") return ENDS.has(event.data.to) ? "over" : event.data.to === "queued" ? "waiting" : "pausing";
  return WAITS.has(event.type) ? "waiting" : null;
}

const future = (event) => event.data.scheduled_for && Date.parse(event.data.scheduled_for) > time(event);

export function phases(events, now) {
  const found = [];
  for (const event of events) {
    const kind = begins(event);
    if (!kind) continue;
    const last = found.at(-1);
    if (last) Object.assign(last, { to: time(event), outcome: event.type });
    found.push({ kind, from: time(event), to: null, attempt: event.attempt ?? null, begun: event.type });
  }
  const last = found.at(-1);
  if (last?.kind === "over") found.pop();
  else if (last) Object.assign(last, { to: Math.max(now, last.from), open: true });
  return shared(found.map((phase) => ({ ...phase, seconds: (phase.to - phase.from) / 1000 })));
}

// How wide each is drawn, of 1 in all. Waiting that dwarfs the work is folded, so that the work can be seen.
function shared(found) {
  const worked = found.filter(({ kind }) => kind === "running").reduce((sum, { seconds }) => sum + seconds, 0);
  const most = worked * FOLDED_FROM;
  const weighed = found.map((phase) => {
    const folded = worked > 0 && phase.kind !== "running" && phase.seconds > most;
    return { ...phase, folded, weight: folded ? most / 2 : phase.seconds };
  });
  const all = weighed.reduce((sum, { weight }) => sum + weight, 0) || 1;
  return weighed.map(({ weight, ...phase }) => ({ ...phase, share: Math.max(weight / all, 0.004) }));
}

// {event, since: seconds after the step before, progress: [events] when it stands for several}
export function steps(events) {
  const made = [];
  for (const event of events) {
    const last = made.at(-1);
    if (event.type === "progressed" && last?.progress) last.progress.push(event);
    else made.push({ event, progress: event.type === "progressed" ? [event] : null });
  }
  return made.map((step, n) => ({ ...step, since: n ? (time(step.event) - ended(made[n - 1])) / 1000 : null }));
}

const ended = (step) => time(step.progress?.at(-1) ?? step.event);

// How long it waited and ran in all, and how often it was tried.
export function totals(found) {
  const sum = (kinds) => found.filter(({ kind }) => kinds.includes(kind)).reduce((all, { seconds }) => all + seconds, 0);
  return {
    waited: sum(["waiting", "pausing"]),
    ran: sum(["running"]),
    attempts: found.filter(({ kind }) => kind === "running").length,
  };
}
