"""Every page at a desk and on a phone, now and in the past: nothing sticks out, and what is cut can be read."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from . import axe
from .conftest import Visit, visiting
from .sites import Site
from .test_pages import PAGES, addresses, settled

SIZES: Final = {
    "desktop": {"viewport": {"width": 1440, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
# Texts that end in dots, or are just cut, and say nowhere how they go on.
CUT: Final = """() => [...document.querySelectorAll("body *")].filter((each) => {
  const style = getComputedStyle(each), own = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return own && each.clientWidth > 1 && each.scrollWidth > each.clientWidth + 1 && !each.closest("[title], .sr")
    && !["visible", "auto", "scroll"].includes(style.overflowX);
}).map((each) => each.textContent.trim().slice(0, 60))"""
# What is used and stands further right than its panel, which does not scroll.
OUTSIDE: Final = """() => [...document.querySelectorAll("main .panel :is(input, select, button, a)")].filter((each) => {
  const panel = each.closest(".panel").getBoundingClientRect(), box = each.getBoundingClientRect();
  for (let up = each; !up.matches(".panel"); up = up.parentElement)
    if (getComputedStyle(up.parentElement).overflowX !== "visible" && !up.parentElement.matches(".panel")) return false;
  return box.width && box.right > panel.right + 0.5;
}).map((each) => each.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("size", SIZES)
def test_nothing_sticks_out_and_what_is_cut_can_be_read(browser: Browser, site: Site, size: str) -> None:
    moment = site.get("/queue/status")["position"] - 5
    wrong: dict[str, list[str]] = {}
    with visiting(browser, site, **SIZES[size]) as visit:
        page = visit.open("/")
        for address in (*addresses(site), "#/queue/reports?tab=settings", "#/queue/reports?tab=times"):
            for at in ("", f"at={moment}&bar=15m"):
                page.goto(f"/{address}{'&' if '?' in address else '?'}{at}")
                settled(page)
                if found := stuck_out(page):
                    wrong[f"{address.split('/job/')[0]} {at}"] = found
    assert wrong == {}


def stuck_out(page: Page) -> list[str]:
    return list(page.evaluate(CUT)) + list(page.evaluate(OUTSIDE))


def test_an_empty_system_looks_well(browser: Browser, own_site: Site) -> None:
    """Every page before the first job and the first worker: both sizes, both themes."""
    wrong: dict[str, list[str]] = {}
    pages = {**PAGES, "queue": "#/queue/default", "times": "#/queue/default?tab=times"}
    for size, scheme in (("desktop", "light"), ("phone", "dark")):
        with visiting(browser, own_site, color_scheme=scheme, **SIZES[size]) as visit:
            page = visit.open("/")
            for address in pages.values():
                page.goto(f"/{address}")
                settled(page)
                wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                found = stuck_out(page) + axe.anything(page) + ([f"{wide} px too wide"] if wide > 0 else [])
                if found:
                    wrong[f"{address} {size} {scheme}"] = found
    assert wrong == {}


def test_the_time_bar_is_two_rows_at_a_desk(visit: Visit) -> None:
    page = visit.open("/#/?bar=15m")
    bar = page.get_by_role("region", name="Time bar")
    middles = [middle_of(page, one) for one in ("button[title^=Back]", "select[aria-label=Speed]", ".time-said")]
    assert max(middles) - min(middles) < 8
    box = bar.bounding_box()
    assert box is not None
    assert box["height"] < 130


def middle_of(page: Page, selector: str) -> float:
    box = page.locator(f".time-bar {selector}").bounding_box()
    assert box is not None
    return box["y"] + box["height"] / 2


def test_digits_of_a_column_are_above_each_other(visit: Visit) -> None:
    """Of the page Failures, whether a number leads to jobs or is none."""
    page = visit.open("/#/failures")
    expect(page.locator("td.number").first).to_be_visible()
    ends = page.evaluate(
        """() => [...document.querySelectorAll("thead th.number, td.number > *")].map((cell) => {
          const range = document.createRange();
          range.selectNodeContents(cell);
          const column = (cell.closest("td") ?? cell).cellIndex;
          return [column, Math.round(range.getBoundingClientRect().right)];
        })"""
    )
    assert len({tuple(each) for each in ends}) == 4, ends


def test_the_log_has_one_scroll_bar(visit: Visit, site: Site) -> None:
    page = visit.open("/#/log")
    for at in ("", f"?at={site.get('/queue/status')['position']}"):
        page.goto(f"/#/log{at}")
        expect(page.locator(".log .event").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollHeight") <= 900
