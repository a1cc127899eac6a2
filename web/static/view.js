// What every component is made of, from one place: Preact, its hooks, signals, and `html` for markup.

import { h } from "./vendor/preact/preact.js";
import htm from "./vendor/htm/htm.js";

export const html = htm.bind(h);
export { h, render, Fragment, createContext, createRef, Component } from "./vendor/preact/preact.js";
export {
  useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback, useContext, useId, useErrorBoundary,
} from "./vendor/preact/hooks.js";
export {
  signal, computed, effect, batch, untracked, useSignal, useComputed, useSignalEffect,
} from "./vendor/signals/signals.js";
