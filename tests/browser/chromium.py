"""The system's Chromium: found, started, or missed loudly."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Final

from playwright.sync_api import Browser, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING: Final = (
    "NO CHROMIUM: the dashboard was NOT TESTED in a browser. Install one (apt-get install chromium) and run it again."
)
# Frames are measured on machines that have no display and no graphics card.
_ALWAYS: Final = ("--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb")


def executable() -> str | None:
    """Its path, None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextlib.contextmanager
def started() -> Iterator[Browser]:
    """A headless browser. Chromium refuses root with its sandbox on."""
    path = executable()
    assert path is not None, MISSING
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*_ALWAYS, *root])
        try:
            yield browser
        finally:
            browser.close()
