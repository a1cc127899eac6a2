"""What comes in: bodies within bounds, parameters that are checked, one `Call` a request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from ..broker.payload import MAX_DEPTH
from ..events import ids, times
from .callers import Caller
from .errors import Problem, invalid, job_not_found, unknown_queue

if TYPE_CHECKING:
    from .services import Services

T = TypeVar("T")

# What surrounds a payload in a request: type and metadata.
ENVELOPE: Final = 64 * 1024
SMALL_BODY: Final = 64 * 1024


class Call:
    """One authenticated request on its way through an endpoint."""

    __slots__ = ("__dict__", "caller", "params", "receive", "scope", "services")

    def __init__(
        self, services: Services, scope: Scope, receive: Receive, caller: Caller, params: Mapping[str, str]
    ) -> None:
        self.services, self.scope, self.receive = services, scope, receive
        self.caller, self.params = caller, params

    @cached_property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.scope["headers"])

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @cached_property
    def query(self) -> dict[str, str]:
        return query_of(self.scope)

    @property
    def queue(self) -> str:
        """The queue in the path; one that the caller may not see is not there for them."""
        name = self.params["queue"]
        if not self.caller.sees(name):
            raise unknown_queue(name)
        return name

    @property
    def job(self) -> bytes:
        """The job in the path. An id that cannot be one names no job."""
        try:
            return ids.from_text(self.params["job"])
        except ValueError:
            raise job_not_found() from None

    def allow(self, *names: str) -> None:
        """Refuse query parameters that this endpoint does not know: a typo must not widen an answer."""
        for name in self.query:
            if name not in names and name != "after_position":
                raise invalid(name[:64], "is not a parameter here", status=400)

    def text(self, name: str, longest: int = 200) -> str | None:
        value = self.query.get(name)
        if value is None or value == "":
            return None
        if len(value) > longest or "\0" in value:
            raise invalid(name, f"must be a text of 1 to {longest} characters without NUL", status=400)
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        value = self.query.get(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit()) or len(value) > 18 or not low <= int(value) <= high:
            raise invalid(name, f"must be a whole number from {low} to {high}", status=400)
        return int(value)

    def instant(self, name: str) -> int | None:
        value = self.query.get(name)
        if value is None:
            return None
        try:
            return times.from_text(value)
        except ValueError as error:
            raise invalid(name, str(error), status=400) from None

    async def body(self, limit: int = SMALL_BODY) -> bytes:
        """The request's body, read piece by piece so that an endless one costs at most `limit`."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            raise too_large(limit)
        message = await self.receive()
        first: bytes = message.get("body", b"")
        if not message.get("more_body") and len(first) <= limit:
            return first
        pieces, size = [first], len(first)
        while message.get("more_body") and size <= limit:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Problem("invalid_json", "the body ended early")
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
        if size > limit:
            raise too_large(limit)
        return b"".join(pieces)

    async def read(self, decoder: msgspec.json.Decoder[T], limit: int = SMALL_BODY) -> T:
        """The body as the decoder's type."""
        return decode(decoder, await self.body(limit) or b"{}")


def query_of(scope: Scope) -> dict[str, str]:
    """Query parameters; of several with one name the last."""
    raw: bytes = scope["query_string"]
    return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=50)) if raw else {}


def too_large(limit: int) -> Problem:
    # Closed afterwards: the rest of the body is not worth reading.
    return Problem(
        "too_large", f"the body has more than {limit} bytes", {"limit": limit},
        headers=((b"connection", b"close"),),
    )  # fmt: skip


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """JSON -> the decoder's type; says which field is wrong."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(str(error)) from None
    except RecursionError:
        raise invalid("body", f"must not be nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("invalid_json", f"the body is not JSON: {error}"[:200]) from None


def _misfit(text: str) -> Problem:
    """msgspec says "... - at `$.metadata.priority`": the path is the field."""
    reason, _, path = text.partition(" - at `$")
    field = path.rstrip("`").lstrip(".") or "body"
    if "unknown field" in reason or "required field" in reason:
        field = reason.split("`")[1] if "`" in reason else field
    return invalid(field[:100], f"is not valid: {reason}"[:200])


def object_of(body: bytes) -> dict[str, Any]:
    """Any JSON object."""
    return decode(_OBJECT, body)


_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
