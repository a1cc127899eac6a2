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


def serious(page: Page) -> list[str]:
    """What is serious or critical, in words; empty when all is well."""
    return [said for impact, said in _found(page) if impact in ("serious", "critical")]


def anything(page: Page) -> list[str]:
    """Whatever axe would have otherwise, also what is moderate or minor."""
    return [said for _, said in _found(page)]


def _found(page: Page) -> list[tuple[str, str]]:
    page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(_RUN)
    return [(one["impact"], f"{one['id']} ({one['impact']}): {one['help']} {one['nodes']}") for one in found]
