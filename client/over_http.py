"""A client of a server: the same calls, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from .backend import BulkItem, repeated
from .errors import OVERLOADS, HivelogError, Unavailable, error_of
from .job import ENDED, Job
from .transaction import Call, Connection

_TIMEOUT: Final = httpx.Timeout(30, connect=5)
# The server's heartbeat comes every 15 s: silence longer than this is a dead connection.
_SILENCE: Final = httpx.Timeout(10, read=45)
_SLOWEST_POLL: Final = 2.0
_CODES: Final = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 409: "conflict",
                 413: "too_large", 429: "too_many", 503: "database_unavailable"}  # fmt: skip


class _Problem(msgspec.Struct):
    error: str
    code: str = "internal"
    detail: dict[str, Any] = {}


class _Created(msgspec.Struct):
    job: Job


class _CreatedMany(msgspec.Struct):
    ids: list[str]


class _Update(msgspec.Struct):
    data: dict[str, Any] = {}


_problem: Final = msgspec.json.Decoder(_Problem)
_created: Final = msgspec.json.Decoder(_Created)
_created_many: Final = msgspec.json.Decoder(_CreatedMany)
_update: Final = msgspec.json.Decoder(_Update)


class OverHttp:
    """One pool of connections to one server; `transport` replaces the network (an ASGI app, say)."""

    def __init__(
        self, url: str, token: str | None, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url, self._token, self._transport = url.rstrip("/"), token, transport

    async def open(self) -> None:
        headers = {"accept": "application/json"}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        self._http = httpx.AsyncClient(
            base_url=self._url, headers=headers, timeout=_TIMEOUT, limits=limits, transport=self._transport
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def enqueue(
        self, queue: str, type_: str, payload: object, options: Mapping[str, Any], key: str | None
    ) -> Job:
        body = {"type": type_, "payload": payload, **({"metadata": options} if options else {})}
        return _created.decode(await self._post(f"/queue/{quote(queue, safe='')}/jobs", body, key)).job

    async def enqueue_many(self, items: list[BulkItem], key: str | None) -> list[str]:
        return _created_many.decode(await self._post("/jobs", items, key)).ids

    async def _post(self, path: str, body: Any, key: str | None) -> bytes:
        headers = {} if key is None else {"idempotency-key": key}
        content = _encoded(body)
        return await repeated(
            lambda: self._send("POST", path, {}, content, headers), harmless=key is not None
        )

    def enqueue_within(self, connection: Connection, call: Call) -> Job | None:
        return None

    async def call(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> bytes:
        content = None if body is None else _encoded(body)
        return await repeated(
            lambda: self._send(method, path, query or {}, content, {}), harmless=method in ("GET", "PUT")
        )

    async def _send(
        self, method: str, path: str, query: Mapping[str, Any], content: bytes | None,
        headers: Mapping[str, str],
    ) -> bytes:  # fmt: skip
        if content is not None:
            headers = {**headers, "content-type": "application/json"}
        try:
            answer = await self._http.request(
                method, path, params=query, content=content, headers=headers
            )
        except httpx.ConnectError as error:
            away = Unavailable("the server cannot be reached")
            away.unsent = True
            raise away from error
        except httpx.HTTPError as error:
            raise Unavailable(f"the server did not answer ({type(error).__name__})") from error
        if answer.status_code >= 400:
            raise _refusal(answer.status_code, answer.content)
        return answer.content

    async def wait(self, job: str) -> None:
        """By the feed of this one job; where that cannot be had, by asking, more and more seldom."""
        pause = 0.1
        if await self._has_ended(job):  # also says so when there is no such job
            return
        while True:
            try:
                await self._follow(job)
                return
            except (httpx.HTTPError, HivelogError) as error:
                if isinstance(error, HivelogError) and error.code not in OVERLOADS | {"database_unavailable"}:
                    raise
            if await self._has_ended(job):
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _SLOWEST_POLL)

    async def _has_ended(self, job: str) -> bool:
        found = _created.decode(await self.call("GET", f"/job/{job}"))
        return found.job.ended

    async def _follow(self, job: str) -> None:
        headers = {"accept": "text/event-stream"}
        async with self._http.stream(
            "GET", "/queue/status", params={"job": job}, headers=headers, timeout=_SILENCE
        ) as answer:
            if answer.status_code != 200:
                raise _refusal(answer.status_code, await answer.aread())
            lines = answer.aiter_lines()
            await anext(lines)  # the stream is open: what happens from now on comes through it
            if await self._has_ended(job):
                return
            async for line in lines:
                if line.startswith("event:") and await self._has_ended(job):  # reset, heartbeat, bye
                    return
                if line.startswith("data: ") and _ends(line, job):
                    return
        raise httpx.RemoteProtocolError("the feed ended")


def _ends(line: str, job: str) -> bool:
    data = _update.decode(line[6:]).data
    return data.get("id") == job and data.get("status") in ENDED


def _refusal(status: int, body: bytes) -> HivelogError:
    try:
        problem = _problem.decode(body)
    except msgspec.DecodeError:
        # Not ours: a proxy between.
        return error_of(_CODES.get(status, "internal"), f"the server answered with status {status}")
    return error_of(problem.code, problem.error, problem.detail)


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        reason = f"cannot be written as JSON: {error}"[:200]
        raise error_of("invalid_field", f"payload {reason}", {"field": "payload"}) from None
