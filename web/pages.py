"""The dashboard, the login page and the API's page: HTML that names the files of this release."""

from __future__ import annotations

from typing import Final

from .answers import Answer
from .dispatch import ANONYMOUS
from .endpoint import Endpoint
from .requests import Call
from .static_files import page

_HTML: Final = b"text/html; charset=utf-8"


def _page(name: str) -> Answer:
    return Answer(200, page(name), _HTML)


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
