// A chart over time by uPlot, in the theme's colours, as wide as its place.
//
//   <Chart times=[iso..] lines=[{name, values, color: "--good", fill: true}] format=${number} label="Jobs per minute" />
//
// `whole`: what is counted has no halves, and so has the axis.

import { html, useEffect, useRef, useSignal } from "../view.js";
import { theme, zone } from "../data/prefs.js";
import uPlot from "../vendor/uplot/uplot.js";

// Custom properties hold light-dark(); only a used colour says which it is.
function resolved(node, name) {
  node.style.color = `var(${name})`;
  const { color } = getComputedStyle(node);
  node.style.color = "";
  return color;
}

const DAY = { month: "2-digit", day: "2-digit" };
const CLOCK = { hour: "2-digit", minute: "2-digit" };

// Seconds since 1970 as a label; `step`: seconds between two labels.
function when(seconds, step) {
  const parts = step >= 86_400 ? DAY : step >= 7200 ? { ...DAY, ...CLOCK } : CLOCK;
  const of = zone.value === "utc" ? { timeZone: "UTC" } : {};
  return new Intl.DateTimeFormat("sv", { ...parts, ...of }).format(seconds * 1000);
}

const WHOLE = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

function axes(node, { format, axis: size, whole }) {
  const shared = {
    stroke: resolved(node, "--dim"), font: "11.5px system-ui", ticks: { show: false },
    grid: { stroke: resolved(node, "--line"), width: 1 },
  };
  return [
    { ...shared, grid: { show: false }, size: 30, space: 76, values: (_, ticks, __, ___, step) => ticks.map((tick) => when(tick, step)) },
    { ...shared, ...(whole ? { incrs: WHOLE } : {}), size, space: 36, values: (_, ticks) => ticks.map((tick) => format(tick)) },
  ];
}

const fade = (color) => `color-mix(in srgb, ${color} 14%, transparent)`;

function series(node, lines) {
  const made = lines.map(({ color, fill }) => {
    const stroke = resolved(node, color);
    return { stroke, width: 1.75, fill: fill ? fade(stroke) : undefined, points: { show: false } };
  });
  return [{}, ...made];
}

const columns = (times, lines) => [times.map((time) => Date.parse(time) / 1000), ...lines.map((line) => line.values)];

function options(node, { lines, height, onIndex, ...axis }) {
  return {
    width: node.clientWidth, height, padding: [10, 20, 0, 0], axes: axes(node, axis), series: series(node, lines),
    tzDate: (seconds) => (zone.value === "utc" ? uPlot.tzDate(new Date(seconds * 1000), "UTC") : new Date(seconds * 1000)),
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } }, legend: { show: false },
    hooks: { setCursor: [(plot) => onIndex(plot.cursor.idx ?? null)] },
  };
}

export function Chart({ times, lines, label, height = 220, format, axis = 46, step, whole = false }) {
  const place = useRef(null);
  const plot = useRef(null);
  const index = useSignal(null);
  const names = lines.map((line) => line.name).join();

  useEffect(() => {
    const node = place.current;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const make = () => {
      plot.current?.destroy();
      const onIndex = (at) => (index.value = at);
      plot.current = new uPlot(options(node, { lines, height, format, axis, whole, onIndex }), columns(times, lines), node);
    };
    make();
    const resize = new ResizeObserver(() => plot.current.setSize({ width: node.clientWidth, height }));
    resize.observe(node);
    dark.addEventListener("change", make);
    return () => (resize.disconnect(), dark.removeEventListener("change", make), plot.current.destroy(), (plot.current = null));
  }, [names, theme.value, zone.value, height]);
  useEffect(() => plot.current?.setData(columns(times, lines)), [times]);

  return html`<div class="chart">
    <${Legend} ...${{ times, lines, format, step, index }} />
    <figure role="img" aria-label=${label} ref=${place} style=${{ height: `${height}px` }} />
  </div>`;
}

// The values under the pointer, else what each line comes to.
function Legend({ times, lines, format, step, index }) {
  const at = index.value != null && index.value < times.length ? index.value : null;
  return html`<div class="legend"><dl>${lines.map(({ name, values, color, total }) => html`<div key=${name}>
    <dt><i style=${{ background: `var(${color})` }} />${name}</dt><dd>${format(at == null ? total : values[at])}</dd></div>`)}</dl>
    <span class="legend-when">${at == null ? "" : when(Date.parse(times[at]) / 1000, step < 900 ? step : 7200)}</span></div>`;
}
