"""The page's files: addresses that name their content, small enough, complete, and within the policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from posixpath import dirname, join, normpath

import pytest
from hivelog.web.encodings import chosen
from hivelog.web.static_files import all_files, imported, version

from .web_world import World, served

FIRST_VIEW = 150_000  # bytes transferred
OURS = [name for name in all_files() if name.endswith(".js") and not name.startswith("vendor/")]
_ADDRESS = re.compile(r"""(?:from|import\(|import)\s*\(?["'](\.[^"']+)["']""")


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path) as running:
        yield running


def text(name: str) -> str:
    return all_files()[name].body.decode()


@pytest.mark.parametrize("coding", ["br", "gzip"])
async def test_a_file_is_kept_as_long_as_its_address_names_its_content(world: World, coding: str) -> None:
    now = await world.client.get(f"/static/{version()}/app.js", headers={"accept-encoding": coding})
    assert "immutable" in now.headers["cache-control"]
    assert (now.headers["content-encoding"], now.headers["vary"]) == (coding, "accept-encoding")
    assert int(now.headers["content-length"]) < len(now.content) / 2
    assert now.text == text("app.js")
    old = await world.client.get("/static/of-another-release/app.js", headers={"accept-encoding": "identity"})
    assert old.headers["cache-control"] == "no-cache"
    assert "content-encoding" not in old.headers
    assert old.headers["vary"] == "accept-encoding"
    assert old.content == all_files()["app.js"].body
    assert (await world.client.get(f"/static/{version()}/../../pages.py")).status_code in (401, 404)


@pytest.mark.parametrize("coding", ["br", "gzip"])
async def test_a_large_answer_is_packed_for_whoever_can_read_it(world: World, coding: str) -> None:
    large = await world.client.get("/openapi.json", headers={"accept-encoding": coding})
    assert (large.headers["content-encoding"], large.headers["vary"]) == (coding, "accept-encoding")
    assert int(large.headers["content-length"]) < len(large.content) / 3
    plain = await world.client.get("/openapi.json", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "accept-encoding"
    assert plain.json() == large.json()
    assert "content-encoding" not in (await world.client.get("/health/live")).headers


async def test_a_stream_is_not_packed(world: World) -> None:
    """A browser would get its events when a block is full."""
    headers = {"accept": "text/event-stream", "accept-encoding": "br, gzip"}
    async with world.client.stream("GET", "/queue/status", headers=headers) as stream:
        assert "content-encoding" not in stream.headers
        assert "event-stream" in stream.headers["content-type"]
        assert (await anext(stream.aiter_raw())).startswith(b": hivelog")


def test_the_coding_is_the_one_that_the_client_wants_most() -> None:
    wanted = {
        b"gzip, deflate, br, zstd": b"br", b"gzip": b"gzip", b"br;q=0.5, gzip;q=0.9": b"gzip", b"*": b"br",
        b"BR ; q=0.1": b"br", b"br;q=0, *": b"gzip", b"br;q=0": None, b"identity": None, b"": None,
        b"deflate": None, b"br;q=much": None, b"*;q=0": None, b"gzip;q=1.000,br;q=1.000": b"br",
    }  # fmt: skip
    assert {accepts: chosen(accepts) for accepts in wanted} == wanted


@pytest.mark.parametrize("coding", ["br", "gzip"])
async def test_the_first_view_is_small(world: World, coding: str) -> None:
    """All that the overview loads, as it is sent: the page, its styles, modules and icons."""
    html = (await world.client.get("/")).text
    assert "{{" not in html
    addresses = set(re.findall(r'(?:href|src)="static/[0-9a-f]+/([^"]+)"', html))
    addresses |= imported("pages/overview/page.js") | {"pages/overview/page.js", "vendor/lucide/icons.svg"}
    addresses |= {"data/feed-shared.js"} | imported("data/feed-shared.js")
    paths = ["/", *(f"/static/{version()}/{name}" for name in addresses)]
    answers = [await world.client.get(path, headers={"accept-encoding": coding}) for path in paths]
    sent = sum(each.num_bytes_downloaded + len(str(each.headers)) for each in answers)
    assert sent < FIRST_VIEW, sent
    # What app.js needs is asked for at once.
    assert all(f'modulepreload" href="static/{version()}/{name}"' in html for name in imported("app.js"))


def test_every_import_is_there_and_every_module_is_used() -> None:
    named = {"app.js", "login.js", "docs.js", "docs-theme.js", "theme.js", "data/feed-shared.js"}
    for name in OURS:
        for address in _ADDRESS.findall(text(name)):
            target = normpath(join(dirname(name), address))
            assert target in all_files(), f"{name} imports {target}"
            named.add(target)
    assert set(OURS) <= named


def test_every_icon_that_is_named_is_in_the_file() -> None:
    there = set(re.findall(r'symbol id="([^"]+)"', text("vendor/lucide/icons.svg")))
    for name in OURS:
        used = set(re.findall(r'Icon\}? name="([a-z-]+)"', text(name)))
        used |= set(re.findall(r'icon: "([a-z-]+)"', text(name))) | set(re.findall(r'icon="([a-z-]+)"', text(name)))
        assert used <= there, f"{name}: {used - there}"


def test_no_page_needs_what_the_policy_forbids() -> None:
    for name in OURS:
        assert "eval(" not in text(name)
        assert "new Function" not in text(name)
        assert "dangerouslySetInnerHTML" not in text(name), name
