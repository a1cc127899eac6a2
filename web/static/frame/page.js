// The page that the address names: its module is loaded once, and focus moves to it when the path changes.

import { html, signal, useEffect, useErrorBoundary, useRef } from "../view.js";
import { PAGES } from "../pages/table.js";
import { ErrorBox } from "../parts/states.js";
import { match, route } from "./router.js";

const modules = signal({}); // path pattern -> module, or the error of loading it

export function found(path) {
  for (const page of PAGES) {
    const params = match(page.path, path);
    if (params) return { page, params };
  }
  return null;
}

function load(page) {
  if (modules.value[page.path]) return;
  const done = (module) => (modules.value = { ...modules.value, [page.path]: module });
  page.load().then(done, (error) => done({ error }));
}

export function Page() {
  const { path, query } = route.value;
  const here = found(path);
  const main = useRef(null);
  const first = useRef(true);

  useEffect(() => {
    if (first.current) first.current = false;
    else {
      main.current.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }, [path]);
  useEffect(() => {
    if (here) load(here.page);
  }, [path]);

  return html`<main id="main" tabindex="-1" ref=${main}>
    ${here ? html`<${Loaded} key=${path} here=${here} query=${query} />` : html`<${Nowhere} />`}
  </main>`;
}

function Loaded({ here, query }) {
  const [broken, again] = useErrorBoundary((error) => console.error(error));
  const module = modules.value[here.page.path];
  const title = module?.title?.(here.params) ?? here.page.name;
  useEffect(() => {
    document.title = `${title} · Hivelog`;
  }, [title]);
  if (broken) return html`<${ErrorBox} error=${broken} retry=${again} />`;
  if (!module) return html`<h1 class="sr">${title}</h1>`;
  if (module.error) {
    // Most likely the server was updated, and this page's files are no more.
    return html`<${ErrorBox} error=${module.error} retry=${() => location.reload()} label="Reload the page" />`;
  }
  return html`<${module.default} params=${here.params} query=${query} />`;
}

function Nowhere() {
  return html`<div class="empty">
    <h1>There is no such page</h1>
    <p>The address names none. <a href="#/">Go to the overview</a>.</p>
  </div>`;
}
