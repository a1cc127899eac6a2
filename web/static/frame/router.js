// Which page, with what: kept in the address after `#`, so that a link shows the same to whoever may see it
// and what was searched for reaches no server's access log.
//
//   #/queue/reports?state=failed    route.value = {path: "/queue/reports", query: {state: "failed"}}

import { computed, signal } from "../view.js";

export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split("?", 2);
  return { path: path || "/", query: Object.fromEntries(new URLSearchParams(search)) };
}

export const route = signal(parse(location.hash));
// A position or a time of the past that all pages show, or null for now.
export const at = computed(() => route.value.query.at ?? null);
// The span of the time bar, where it is open, and the speed at which the past is played: null for neither.
export const bar = computed(() => route.value.query.bar ?? null);
export const play = computed(() => (at.value && Number(route.value.query.play)) || null);

// A link's address. The moment goes along, so that one stays in the past until one leaves it.
export function href(path, query = {}) {
  const all = { at: at.value, bar: bar.value, play: play.value, ...query };
  const kept = Object.entries(all).filter(([, value]) => value != null && value !== "");
  const search = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  return `#${path}${search ? `?${search}` : ""}`;
}

export function go(path, query = {}, { replace = false } = {}) {
  const address = href(path, query);
  if (address === location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  route.value = parse(location.hash);
}

// Changes some of the query and keeps the rest; null takes a name out.
export function setQuery(changes, { replace = true } = {}) {
  go(route.value.path, { ...route.value.query, ...changes }, { replace });
}

// {params} when the path has the pattern's form ("/queue/:queue"), else null.
export function match(pattern, path) {
  const wanted = pattern.split("/");
  const parts = path.split("/");
  if (wanted.length !== parts.length) return null;
  const params = {};
  for (const [n, part] of wanted.entries()) {
    if (part.startsWith(":")) params[part.slice(1)] = decode(parts[n]);
    else if (part !== parts[n]) return null;
  }
  return params;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

for (const kind of ["hashchange", "popstate"]) {
  addEventListener(kind, () => {
    if (href(route.value.path, route.value.query) !== location.hash) route.value = parse(location.hash);
  });
}
