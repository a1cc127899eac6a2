#!/usr/bin/env bash
# Fetches the page's libraries from npm, at the versions named here, into web/static/vendor. Run again after
# changing a version; what users install is the result, so they need neither npm nor a build.
set -euo pipefail
cd "$(dirname "$0")/.."
to=$PWD/web/static/vendor
packed=$(mktemp -d)
trap 'rm -rf "$packed"' EXIT

fetch() { # NAME VERSION: unpacked into a folder whose path is printed
    mkdir -p "$packed/$1"
    (cd "$packed/$1" && npm pack --silent "$1@$2" >/dev/null 2>&1 && tar xzf ./*.tgz)
    echo "$packed/$1/package"
}

# Browsers resolve relative addresses only (an import map would have to be inline, which the policy forbids),
# and the source maps are not shipped.
module() { # FROM TO
    sed -e 's#from"preact/hooks"#from"../preact/hooks.js"#g' -e 's#from"preact"#from"../preact/preact.js"#g' \
        -e 's#from"@preact/signals-core"#from"./signals-core.js"#g' -e '/^\/\/# sourceMappingURL=/d' "$1" >"$2"
}

rm -rf "$to"/{preact,htm,signals,uplot,lucide,swagger-ui}
mkdir -p "$to"/{preact,htm,signals,uplot,lucide,swagger-ui}

from=$(fetch preact 11.2.0)
module "$from/dist/preact.mjs" "$to/preact/preact.js"
module "$from/hooks/dist/hooks.mjs" "$to/preact/hooks.js"
cp "$from/LICENSE" "$to/preact/"

from=$(fetch htm 3.1.1)
module "$from/dist/htm.mjs" "$to/htm/htm.js"
cp "$from/LICENSE" "$to/htm/"

from=$(fetch @preact/signals-core 1.14.5)
module "$from/dist/signals-core.mjs" "$to/signals/signals-core.js"
from=$(fetch @preact/signals 2.11.4)
module "$from/dist/signals.mjs" "$to/signals/signals.js"
cp "$from/LICENSE" "$to/signals/"

from=$(fetch uplot 1.6.32)
# Only the classic script is minified: one line makes a module of it.
{ cat "$from/dist/uPlot.iife.min.js"; echo; echo "export default uPlot;"; } >"$to/uplot/uplot.js"
cp "$from/dist/uPlot.min.css" "$to/uplot/uplot.css"
cp "$from/LICENSE" "$to/uplot/"

# Only the icons that are used, in one file: NAME-HERE:NAME-THERE.
icons="overview:layout-dashboard jobs:list-checks failures:bug workers:cpu log:scroll-text settings:settings
    search:search plus:plus minus:minus pause:pause play:play sun:sun moon:moon auto:sun-moon clock:clock
    keyboard:keyboard code:code-xml logout:log-out more:ellipsis close:x check:check copy:copy
    alert:triangle-alert queue:layers down:chevron-down right:chevron-right trash:trash-2 retry:rotate-ccw
    stop:circle-stop download:download external:external-link up-arrow:arrow-up down-arrow:arrow-down
    filter:funnel inbox:inbox erase:eraser columns:columns-3 history:history link:link drain:droplets
    cancel:circle-x scheduled:calendar-clock hash:hash tag:tag edit:pencil host:server"
from=$(fetch lucide-static 1.62.0)
{
    echo '<svg xmlns="http://www.w3.org/2000/svg">'
    for pair in $icons; do
        echo "<symbol id=\"${pair%%:*}\" viewBox=\"0 0 24 24\">"
        sed -n '/^>/,/<\/svg>/p' "$from/icons/${pair##*:}.svg" | sed -e 1d -e '/<\/svg>/d'
        echo '</symbol>'
    done
    echo '</svg>'
} >"$to/lucide/icons.svg"
cp "$from/LICENSE" "$to/lucide/"

from=$(fetch swagger-ui-dist 5.35.0)
for name in swagger-ui-bundle.js swagger-ui.css; do
    sed -e '/^\/\/# sourceMappingURL=/d' -e 's#/\*\# sourceMappingURL=.*\*/##' "$from/$name" >"$to/swagger-ui/$name"
done
cp "$from"/{LICENSE,NOTICE,swagger-ui-bundle.js.LICENSE.txt} "$to/swagger-ui/"

cat >"$to/README.md" <<'END'
Other people's files, fetched by `deploy/vendor.sh`, which names the versions. Unchanged but for import
addresses, the export of uPlot and source map references; each folder has its licence.

- `preact/` (preact, MIT), `htm/` (htm, Apache-2.0), `signals/` (@preact/signals and its core, MIT)
- `uplot/` (uplot, MIT); `lucide/` (the icons used, of lucide-static, ISC, in one file)
- `swagger-ui/` (swagger-ui-dist, Apache-2.0)
END
du -sh "$to"/*
