"""What axe-core finds on a page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

# AA of WCAG 2.2 and what axe calls best practice.
_RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map(({id, impact, help, nodes}) => ({
    id, impact, help, nodes: nodes.slice(0, 5).map((node) => [node.target.join(" "), node.failureSummary])}));
}"""


@cache
def _source() -> str:
    return (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")


def anything(page: Page) -> list[str]:
    """What it would have otherwise, in words, also what is moderate or minor; empty when all is well."""
    page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(_RUN)
    return [f"{one['id']} ({one['impact']}): {one['help']} {one['nodes']}" for one in found]
