// Numbers, times and ids as people read them. Pure; seconds in, text out.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const NONE = "–";

export const exact = (value) => (value == null ? NONE : whole.format(value));
export const number = (value) => (value == null ? NONE : value < 100_000 ? whole.format(value) : short.format(value));
export const percent = (value) =>
  value == null ? NONE : `${value >= 99.95 || value === 0 ? Math.round(value) : value.toFixed(1)}%`;
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
export const mebibytes = (value) => (value == null ? NONE : `${number(value)} MiB`);

export function rate(value) {
  if (value == null) return NONE;
  if (value >= 100) return number(Math.round(value));
  return value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1);
}

// The first characters of a UUIDv7 are its time, and the same for all jobs of a minute.
export const shortId = (id) => id.slice(-8);
// An error without the module of its exception: where there is one line, what was said has the room.
export const brief = (error) => error.replace(/^(?:\w+\.)+(?=\w+(?::|$))/, "");

export function duration(seconds) {
  if (seconds == null || Number.isNaN(seconds)) return NONE;
  if (seconds === 0) return "0 s";
  if (seconds < 0.0095) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.5) return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${pad(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${pad(minutes % 60)} min` : `${Math.floor(hours / 24)} days`;
}

const pad = (value) => String(Math.floor(value)).padStart(2, "0");

export function ago(milliseconds, now) {
  const seconds = (now - milliseconds) / 1000;
  if (seconds < -1) return `in ${coarse(-seconds)}`;
  return seconds < 5 ? "just now" : `${coarse(seconds)} ago`;
}

function coarse(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

const options = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
const stamps = {
  local: new Intl.DateTimeFormat("sv", { ...options, timeZoneName: "short" }),
  utc: new Intl.DateTimeFormat("sv", { ...options, timeZone: "UTC", timeZoneName: "short" }),
};
const clocks = {
  local: new Intl.DateTimeFormat("sv", { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  utc: new Intl.DateTimeFormat("sv", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: "UTC" }),
};

// 2026-11-24 16:03:12.250 UTC, or in the browser's zone.
export function stamp(time, zone = "local") {
  if (!time) return NONE;
  const at = new Date(time);
  const [day, clock, ...name] = stamps[zone].format(at).split(" ");
  return `${day} ${clock}.${String(at.getMilliseconds()).padStart(3, "0")} ${name.join(" ")}`;
}

export const clock = (time, zone = "local") => (time ? clocks[zone].format(new Date(time)) : NONE);
