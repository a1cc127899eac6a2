#!/usr/bin/env bash
# Creates the virtual environment $1 for this checkout: the locked packages, and the checkout itself
# as the package `hivelog`, so that every edited and every new file counts at once.
set -euo pipefail
venv=$1

usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
can_make_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

find_python() {
    local found="" candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 python; do
        usable "$candidate" || continue
        found=$candidate
        can_make_venv "$candidate" && break
    done
    if [ -z "$found" ]; then
        echo "Hivelog needs Python 3.11 or newer; none was found (set PYTHON=/path/to/python3)." >&2
        return 1
    fi
    if ! can_make_venv "$found"; then
        echo "$("$found" --version) lacks the module ensurepip, so it cannot make a virtual environment." >&2
        echo "On Debian and Ubuntu: apt-get install python3-venv. Or set PYTHON=/path/to/another/python3." >&2
        return 1
    fi
    command -v "$found"
}

# A folder that was copied or left half-made by an interrupted run is made anew.
if ! usable "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Creating $venv with $("$python" --version) (about a minute, once)" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check -qq "$@"; }
pip install --require-hashes -r requirements.lock
pip install --no-deps --no-build-isolation --editable .

# mypy finds packages by folder name, and a clone may have any name: give it one called hivelog.
mkdir -p "$venv/typing"
ln -sfn ../.. "$venv/typing/hivelog"
