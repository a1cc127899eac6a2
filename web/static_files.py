"""The page's files: read once, compressed once, answered from memory at addresses that name their content.

`static/<version>/app.js` may be kept for a year, because another content has another version. Modules import
each other by relative addresses, so the version in the page's first address covers them all.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from posixpath import dirname, join, normpath
from typing import Final

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from .answers import OF_A_PART, SECURITY, Answer
from .encodings import VARY, chosen, coded, well
from .errors import Problem, answer_of

_TEXT: Final = ("text/", "application/javascript", "application/json", "image/svg")
_FOREVER: Final = b"public, max-age=31536000, immutable"
# A style or a module is part of a page; a worker is a place of its own, with its own policy.
_PARTS: Final = (b"text/css", b"text/javascript")
_WORKERS: Final = ("data/feed-shared.js",)
# A page of another release, during an update: it gets today's file, and keeps it only for now.
_FOR_NOW: Final = b"no-cache"
_IMPORT: Final = re.compile(rb"""(?:^|;)\s*(?:import|export)\b[^"'`;()]*?from\s*["'](\.[^"']+)["']""", re.M)
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("image/svg+xml", ".svg")


class File(Struct, frozen=True):
    body: bytes
    kind: bytes


@cache
def all_files() -> dict[str, File]:
    """Every file under static/, by its path there."""
    return dict(_collect(files(__package__) / "static", ""))


def _collect(folder: Traversable, prefix: str) -> Iterator[tuple[str, File]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _collect(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, _file(entry.name, entry.read_bytes())


def _file(name: str, body: bytes) -> File:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith(_TEXT):
        kind += "; charset=utf-8"
    return File(body, kind.encode())


@cache
def packed(name: str, coding: bytes) -> bytes | None:
    """The file in this coding, made when it is first asked for; None where that saves nothing."""
    body = all_files()[name].body
    smaller = well(body, coding)
    return smaller if len(smaller) < 0.9 * len(body) else None


@cache
def version() -> str:
    """Of all files together: a digest of names and contents."""
    seen = sha256()
    for name, file in all_files().items():
        seen.update(name.encode() + b"\0" + sha256(file.body).digest())
    return seen.hexdigest()[:16]


@cache
def page(name: str) -> bytes:
    """An HTML file with `{{static}}` and `{{preload}}` filled in."""
    text = all_files()[name].body.replace(b"{{static}}", b"static/" + version().encode())
    return text.replace(b"{{preload}}", b"\n".join(_preloads("app.js", "pages/overview/page.js")))


def _preloads(entry: str, first: str) -> Iterator[bytes]:
    """A link a module that the entry needs, and the page that is seen first: all are asked for at once."""
    for name in sorted(imported(entry) | {first} | imported(first)):
        yield b'<link rel="modulepreload" href="static/%s/%s">' % (version().encode(), name.encode())


def imported(entry: str) -> set[str]:
    """All modules that `entry` imports statically, itself left out."""
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        for match in _IMPORT.finditer(all_files()[name].body):
            other = normpath(join(dirname(name), match[1].decode()))
            if other != entry and other not in found:
                found.add(other)
                waiting.append(other)
    return found


class StaticFiles:
    """`/static/<version>/...`. No part of it is a secret, so it needs no caller."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["path_params"]
        file = all_files().get(asked["path"])
        if file is None or scope["method"] not in ("GET", "HEAD"):
            await answer_of(Problem("not_found", "there is no such file")).send(send)
            return
        coding = chosen(dict(scope["headers"]).get(b"accept-encoding", b""))
        smaller = packed(asked["path"], coding) if coding else None
        extra = coded(coding) if coding and smaller else (VARY,)
        cache_for = _FOREVER if asked["version"] == version() else _FOR_NOW
        security = OF_A_PART if file.kind.startswith(_PARTS) and asked["path"] not in _WORKERS else SECURITY
        await Answer(200, smaller or file.body, file.kind, extra, cache_for, security).send(send)
