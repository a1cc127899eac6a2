"""The page, the login page and their files: read once, answered from memory with an ETag."""

from __future__ import annotations

import mimetypes
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.types import Receive, Scope, Send

from .answers import Answer
from .dispatch import ANONYMOUS
from .endpoint import Endpoint
from .errors import Problem, answer_of
from .requests import Call

_HTML: Final = b"text/html; charset=utf-8"
_TEXT: Final = ("text/", "application/javascript", "application/json", "image/svg")
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("image/svg+xml", ".svg")


@cache
def _static() -> dict[str, tuple[bytes, bytes, bytes]]:
    """Name -> (body, content type, ETag)."""
    found: dict[str, tuple[bytes, bytes, bytes]] = {}
    _collect(files(__package__) / "static", "", found)
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, tuple[bytes, bytes, bytes]]) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            _collect(entry, f"{prefix}{entry.name}/", found)
        else:
            body = entry.read_bytes()
            kind = mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
            if kind.startswith(_TEXT):
                kind += "; charset=utf-8"
            tag = b'"' + sha256(body).hexdigest()[:20].encode() + b'"'
            found[prefix + entry.name] = (body, kind.encode(), tag)


class StaticFiles:
    """`/static/...`. No part of it is a secret, so it needs no caller."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        known = _static().get(scope["path_params"]["path"])
        if known is None or scope["method"] not in ("GET", "HEAD"):
            await answer_of(Problem("not_found", "there is no such file")).send(send)
            return
        body, kind, tag = known
        # Asked for again each time, so that an update is one reload away; mostly answered 304.
        extra = ((b"etag", tag),)
        if headers.get(b"if-none-match") == tag:
            await Answer(304, b"", kind, extra, b"no-cache").send(send)
        else:
            await Answer(200, body, kind, extra, b"no-cache").send(send)


def _page(name: str) -> Answer:
    body, _, _ = _static()[name]
    return Answer(200, body, _HTML)


async def home(call: Call) -> Answer:
    """The dashboard for those who may read, else the login page at the same address."""
    known = call.caller is not ANONYMOUS and call.caller.holds("read")
    return _page("index.html" if known else "login.html")


async def login_page(call: Call) -> Answer:
    """Shows a code's page; only its button uses the code up, so that no link preview can."""
    return _page("login.html")


async def docs(call: Call) -> Answer:
    return _page("docs.html")


ENDPOINTS: Final = (
    Endpoint(method="GET", path="/", run=home, scope=None, tag="pages", summary="The dashboard."),
    Endpoint(method="GET", path="/login", run=login_page, scope=None, tag="pages", summary="The login page."),
    Endpoint(method="GET", path="/docs", run=docs, scope="read", tag="pages", summary="This API, to read."),
)
