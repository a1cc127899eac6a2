"""The live feed's WebSocket twin: the same JSON, one message a frame.

`?last_event_id=<epoch>-<position>` resumes, since browsers cannot set headers here; `{"type": "reset"}` and
`{"type": "bye"}` stand for the events of those names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from starlette.types import Receive, Scope, Send

from ..stopping import stop_tasks
from .callers import Caller
from .dispatch import ANONYMOUS
from .errors import Problem, answer_of, problem_of
from .protocol import abort_of
from .replay import Asked, Player, asked
from .requests import Call
from .services import Services
from .stream import HEARTBEAT, RECHECK, SEND_TIMEOUT, Cursor, Narrowed, begin, narrowed, still_welcome

_GOING_AWAY: Final = 1012
_SESSION_OVER: Final = 4401


class StatusSocket:
    """`/queue/status` as a WebSocket."""

    def __init__(self, services: Callable[[], Services]) -> None:
        self._get = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self._get()
        try:
            caller, call = await _admitted(services, scope, receive)
            filter_ = narrowed(call.query, caller)
            replay = await asked(services, call.query, _last_id(call))
            services.places.take(caller)
        except Exception as error:
            await _refuse(scope, receive, send, problem_of(error))
            return
        try:
            await services.hub.join()
            try:
                await self._serve(services, call, caller, filter_, replay, receive, send)
            finally:
                await services.hub.leave()
        finally:
            services.places.leave(caller)

    async def _serve(
        self,
        services: Services,
        call: Call,
        caller: Caller,
        filter_: Narrowed,
        replay: Asked | None,
        receive: Receive,
        send: Send,
    ) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        writer = asyncio.create_task(_write(services, caller, filter_, _last_id(call), replay, send))
        reader = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait([writer, reader], return_when=asyncio.FIRST_COMPLETED)
            if writer.done() and isinstance(writer.exception(), TimeoutError):
                abort_of(call.scope)()  # frozen: it would never read the close either
        finally:
            await stop_tasks(writer, reader)


async def _admitted(services: Services, scope: Scope, receive: Receive) -> tuple[Caller, Call]:
    """A handshake is a GET, yet other sites' pages can make one with our cookie: it needs an origin."""
    call = Call(services, scope, receive, ANONYMOUS, {})
    caller = await services.auth.caller(scope, call.headers)
    if caller is None:
        raise Problem("unauthenticated", "log in, or send Authorization: Bearer <token>")
    if caller.ambient and not services.auth.same_origin(scope, call.headers):
        raise Problem("forbidden", "this WebSocket must be opened by this site's own pages")
    if not caller.holds("read"):
        raise Problem("forbidden", "this needs the scope read", {"scope": "read"})
    return caller, call


async def _refuse(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    """Before the handshake is over the error can still be an HTTP answer, where the server allows it."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 4000 + problem.status})
        return
    answer = answer_of(problem)
    headers = [(b"content-type", answer.content_type), *answer.headers]
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})


def _last_id(call: Call) -> str | None:
    return call.query.get("last_event_id") or call.header(b"last-event-id")


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass  # what clients send means nothing here


async def _write(
    services: Services,
    caller: Caller,
    filter_: Narrowed,
    last_id: str | None,
    replay: Asked | None,
    send: Send,
) -> None:
    cursor, reset = await begin(services, filter_, last_id)
    if replay is not None:
        if not await _play(services, filter_, replay, cursor, send):
            await send({"type": "websocket.close", "code": 1000})
            return
    elif reset:
        await _send(send, _reset(cursor))
    await _follow(services, caller, cursor, send)


async def _follow(services: Services, caller: Caller, cursor: Cursor, send: Send) -> None:
    spoke = checked = time.monotonic()
    while not services.stopping.is_set():
        changed = services.hub.changed
        messages = await _next(cursor)
        now = time.monotonic()
        if not messages and now - spoke >= HEARTBEAT:
            messages = [b'{"type":"heartbeat","position":%d}' % cursor.position]
        if messages:
            for message in messages:
                await _send(send, message)
            spoke = now
            continue
        if now - checked >= RECHECK:
            checked = now
            if not await still_welcome(services, caller):
                await send({"type": "websocket.close", "code": _SESSION_OVER})
                return
        await services.hub.wait(changed, 1.0)
    await _send(send, b'{"type":"bye","data":{}}')
    await send({"type": "websocket.close", "code": _GOING_AWAY})


async def _play(
    services: Services, filter_: Narrowed, replay: Asked, cursor: Cursor, send: Send
) -> bool:
    """The past; whether the present is to follow, from where the cursor now is."""
    player = Player(services, replay, filter_.queues)
    spoke = time.monotonic()
    while not services.stopping.is_set():
        played = await player.next()
        messages = [frame.json for frame in played.frames if filter_.fits(frame)] + played.snapshots
        if not messages and time.monotonic() - spoke >= HEARTBEAT:
            messages = [b'{"type":"heartbeat","position":%d}' % player.position]
        if played.done is not None:
            over = b'{"type":"%s","data":{},"position":%d}' % (played.done.encode(), player.position)
            messages.append(over)
        for message in messages:
            await _send(send, message)
            spoke = time.monotonic()
        if played.done is not None:
            cursor.position = player.position
            return played.done == "live"
    return False


async def _next(cursor: Cursor) -> list[bytes]:
    if cursor.is_reset:
        cursor.start_over()
        return [_reset(cursor)]
    return [frame.json for frame in await cursor.frames()] + cursor.snapshots()


def _reset(cursor: Cursor) -> bytes:
    return b'{"type":"reset","data":{},"position":%d}' % cursor.position


async def _send(send: Send, message: bytes) -> None:
    async with asyncio.timeout(SEND_TIMEOUT):
        await send({"type": "websocket.send", "text": message.decode()})
