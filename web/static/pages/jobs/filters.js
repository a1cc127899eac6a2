// What is searched for: between what one types, the chips, the page's address, and the server's question. Pure.
//
//   read('state:failed user_id:u1 "no such file"')   {status: "failed", q: 'user_id:u1 "no such file"'}
//
// The address holds what the server is asked, except that times may be spans ("24h") that go on with the clock.

export const STATES = ["pending", "queued", "processing", "completed", "failed", "cancelled", "expired"];
export const SPANS = { "15m": 900, "1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 };

// The word one types -> the name in the address; `hint` teaches.
export const FIELDS = [
  { word: "state", name: "status", hint: "failed, or several: failed,expired" },
  { word: "queue", name: "queue", hint: "a queue's name" },
  { word: "type", name: "type", hint: "a job type" },
  { word: "id", name: "id", hint: "a job's id, or its last 8 characters" },
  { word: "tag", name: "tag", hint: "a tag" },
  { word: "source", name: "source", hint: "who enqueued it" },
  { word: "correlation", name: "correlation_id", hint: "a correlation id" },
  { word: "worker", name: "worker", hint: "a worker's name or session" },
  { word: "since", name: "since", hint: "created within 15m, 1h, 24h, 7d, 30d, or after a time" },
  { word: "until", name: "until", hint: "created before a time, or longer ago than 24h" },
  { word: "started", name: "started_since", hint: "last started within 1h, 24h ..., or after a time" },
  { word: "fingerprint", name: "fingerprint", hint: "jobs that failed for the same reason" },
];

const BY_WORD = new Map(FIELDS.flatMap((field) => [[field.word, field], [field.name, field]]));
const NAMES = FIELDS.map((field) => field.name);
const TIMES = ["since", "until", "started_since"];
const PART = /(?:([^\s:"]+):)?(?:"([^"]*)"|(\S+))/g;

// Of an address's query, only what filters.
export const filtersOf = (query) => Object.fromEntries([...NAMES, "q"].filter((name) => query[name]).map((name) => [name, query[name]]));

// What was typed, as filters; what names no field of ours is a question about payloads and errors.
export function read(text) {
  const found = {};
  const asked = [];
  for (const [whole, word, quoted, plain] of text.matchAll(PART)) {
    const field = BY_WORD.get(word);
    if (field) found[field.name] = quoted ?? plain;
    else if (!word && isId(plain ?? "")) found.id = plain;
    else asked.push(whole);
  }
  if (asked.length) found.q = asked.join(" ");
  return found;
}

// Typed words added to what is chosen already: a field is replaced, a question goes on.
export function added(filters, text) {
  const more = read(text);
  const q = [filters.q, more.q].filter(Boolean).join(" ");
  return { ...filters, ...more, ...(q ? { q } : {}) };
}

// One chip a filter, and one a part of the question: {name, label, value, without}.
export function chips(filters) {
  return Object.entries(filters).flatMap(([name, value]) => (name === "q" ? questionChips(value) : [chip(name, value)]));
}

const labelled = (name) => FIELDS.find((field) => field.name === name)?.word ?? name;
const chip = (name, value) => ({ name, label: labelled(name), value, changes: { [name]: null } });

function questionChips(question) {
  const parts = [...question.matchAll(PART)].map(([whole, word, quoted, plain]) => [whole, word, quoted ?? plain]);
  return parts.map(([whole, word, value]) => {
    const rest = parts.filter(([other]) => other !== whole).map(([other]) => other);
    return { name: "q", label: word ?? "text", value, changes: { q: rest.join(" ") || null } };
  });
}

// The server's question: spans become times.
export function asked(filters, now) {
  return Object.fromEntries(Object.entries(filters).map(([name, value]) => [name, TIMES.includes(name) ? moment(value, now) : value]));
}

// "24h" -> the time that was 24 hours ago, to the second; anything else as it is.
export function moment(value, now) {
  if (!(value in SPANS)) return value;
  return new Date(Math.floor(now / 1000 - SPANS[value]) * 1000).toISOString();
}

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
export const isId = (text) => ID.test(text.trim());
export const isIdEnd = (text) => /^[0-9a-f]{8}$/i.test(text.trim());

// Whether a job, as the feed or a list tells it, belongs to the list. A question about payloads cannot be
// answered here: null then, when all the rest fits.
export function fits(filters, job) {
  const { status, q, id, fingerprint, started_since: started, ...rest } = filters;
  if (id && !job.id.endsWith(id.toLowerCase())) return false;
  if (status && status !== "all" && !status.split(",").includes(job.status)) return false;
  const known = { queue: job.queue, type: job.type, worker: job.worker_id, source: job.metadata?.source,
    correlation_id: job.metadata?.correlation_id };
  for (const [name, value] of Object.entries(rest)) {
    if (name in known && known[name] !== undefined && known[name] !== value) return false;
    if (name === "tag" && job.metadata?.tags && !job.metadata.tags.includes(value)) return false;
  }
  const unknown = q || fingerprint || started || ["source", "correlation_id", "worker"].some((name) => rest[name] && known[name] === undefined);
  return unknown ? null : true;
}
