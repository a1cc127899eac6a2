// Every page: its path, its place in the navigation, and how its module is loaded.
//
// A page's module exports `default`, a component that gets {params, query}, and may export
// `title(params)`, the page's name when it depends on them.

export const PAGES = [
  { path: "/", name: "Overview", icon: "overview", key: "o", load: () => import("./overview/page.js") },
  { path: "/queue/:queue", name: "Queue", load: () => import("./queue/page.js") },
  { path: "/jobs", name: "Jobs", icon: "jobs", key: "j", load: () => import("./jobs/page.js") },
  { path: "/job/:id", name: "Job", under: "/jobs", load: () => import("./job/page.js") },
  { path: "/failures", name: "Failures", icon: "failures", key: "f", load: () => import("./failures/page.js") },
  { path: "/workers", name: "Workers", icon: "workers", key: "w", load: () => import("./workers/page.js") },
  { path: "/log", name: "Log", icon: "log", key: "l", load: () => import("./log/page.js") },
  { path: "/settings", name: "Settings", icon: "settings", key: "s", load: () => import("./settings/page.js") },
];

// Those with a place in the navigation.
export const PLACES = PAGES.filter((page) => page.icon);
