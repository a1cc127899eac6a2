#!/usr/bin/env bash
# A Chromium for the tests of the dashboard. Installs Debian's where it may; where it cannot, it says so
# and goes on: the tests then skip, with the same words.
set -uo pipefail

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && exit 0
done

loudly() {
    printf '\n%s\n' "=================================================================" >&2
    printf '%s\n' "NO CHROMIUM: the tests of the dashboard in a browser are SKIPPED." "$1" >&2
    printf '%s\n\n' "=================================================================" >&2
    exit 0
}

command -v apt-get >/dev/null || loudly "This system has no apt-get: install Chromium or Chrome by hand."
[ "$(id -u)" = 0 ] || loudly "Only root may install it: sudo apt-get install chromium"

echo "Installing Debian's chromium for the tests of the dashboard (once)" >&2
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1; }
install || { apt-get update -qq >/dev/null 2>&1 && install; } || loudly "apt-get install chromium failed."
