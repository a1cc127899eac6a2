"""`POST /jobs/actions`: cancel, retry or erase everything that a filter means; how far it is; undo."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..broker.action_reads import Action
from ..broker.action_rules import RULES
from ..broker.actions import Result
from ..events import ids, times
from ..projections.jobs import STATUSES
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import Problem, invalid, unknown_queue
from .past import AT, moment_of
from .requests import SMALL_BODY, Call

_MOST_IDS: Final = 1000
_LONGEST: Final = 500


class JobFilter(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """As the filters of `GET /jobs`; `ids` names jobs one by one, at most 1,000. At least one field."""

    ids: list[str] | None = None
    queue: str | None = None
    status: str | None = None
    type: str | None = None
    tag: str | None = None
    source: str | None = None
    correlation_id: str | None = None
    worker: str | None = None
    fingerprint: str | None = None
    since: str | None = None
    until: str | None = None
    started_since: str | None = None
    q: str | None = None


class Bulk(Struct, forbid_unknown_fields=True):
    """What to do to the filter's jobs that were enqueued at or before `position` (now, without)."""

    action: Literal["cancel", "retry", "erase"]
    filter: JobFilter
    reason: str | None = None
    dry_run: bool = False
    position: int | None = None


class Reason(Struct, forbid_unknown_fields=True):
    reason: str | None = None


class BulkDone(Struct, omit_defaults=True):
    """`matched` jobs, exactly. A dry run: `position` is to be passed back. More than 10,000: 202 without
    `changed`; `GET /actions/{action_id}` tells how far it is."""

    position: int
    matched: int
    changed: int | None = None
    refused: int | None = None
    action_id: str | None = None


class ActionRow(Struct):
    """`changed` and `refused` (found, but no longer what was meant) are known at the end."""

    action_id: str
    action: str
    queue: str | None
    position: int
    matched: int | None
    changed: int
    refused: int
    started_at: str
    finished_at: str | None
    actor: str
    reason: str | None
    filter: dict[str, Any]


_NOT_TOLD: Final = ("queues", "started", "searched")  # of a filter as the log keeps it

_bulk: Final = msgspec.json.Decoder(Bulk)
_reason: Final = msgspec.json.Decoder(Reason)


async def act(call: Call) -> Answer:
    asked = await call.read(_bulk, 2 * SMALL_BODY)
    scope = RULES[asked.action].scope
    if not call.caller.holds(scope):
        raise Problem("forbidden", f"this needs the scope {scope}", {"scope": scope})
    given, named = await _checked(call, asked.filter)
    result = await call.services.actions.run(
        asked.action, given, actor=call.caller.actor, named=named, q=asked.filter.q, reason=asked.reason,
        position=asked.position, dry_run=asked.dry_run,
    )  # fmt: skip
    return _done(result)


def _done(result: Result) -> Answer:
    later = result.action_id is not None and result.changed is None
    body = BulkDone(
        result.position, result.matched, result.changed, None if result.changed is None else result.refused,
        result.action_id,
    )  # fmt: skip
    return json(body, 202 if later else 200)


async def _checked(call: Call, asked: JobFilter) -> tuple[dict[str, Any], frozenset[str] | None]:
    """The filter without q and status, and the states that it names."""
    given = {name: value for name, value in msgspec.to_builtins(asked).items() if value is not None}
    if not given:
        raise invalid("filter", "must name something: an action on all jobs there are is no filter")
    for name, value in given.items():
        if isinstance(value, str) and (not value or len(value) > _LONGEST or "\0" in value):
            raise invalid(f"filter.{name}", f"must be a text of 1 to {_LONGEST} characters without NUL")
    _check_ids(given.get("ids"))
    _check_times(given)
    if asked.queue is not None and (
        not call.caller.sees(asked.queue)
        or asked.queue not in (await call.services.names.queue_names()).values()
    ):
        raise unknown_queue(asked.queue)
    if call.caller.queues is not None:
        given["queues"] = sorted(call.caller.queues)
    given.pop("q", None)
    return given, _statuses(given.pop("status", None))


def _check_ids(given: list[str] | None) -> None:
    if given is None:
        return
    if not 0 < len(given) <= _MOST_IDS:
        raise invalid("filter.ids", f"must be 1 to {_MOST_IDS} ids")
    for text in given:
        try:
            ids.from_text(text)
        except ValueError as error:
            raise invalid("filter.ids", str(error)) from None


def _check_times(given: dict[str, Any]) -> None:
    for name in ("since", "until", "started_since"):
        try:
            if name in given:
                times.from_text(given[name])
        except ValueError as error:
            raise invalid(f"filter.{name}", str(error)) from None


def _statuses(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    named = frozenset(STATUSES) if text == "all" else frozenset(part.strip() for part in text.split(","))
    if not named <= frozenset(STATUSES):
        raise invalid("filter.status", f"must be all or some of {', '.join(STATUSES)}")
    return named


async def undo(call: Call) -> Answer:
    asked = await call.read(_reason)
    found = await call.services.actions.read(call.params["action"])
    if found is None or not await _sees(call, found):
        raise Problem("not_found", "there is no such action")
    return _done(
        await call.services.actions.undo(found.action_id, actor=call.caller.actor, reason=asked.reason)
    )


async def read(call: Call) -> Answer:
    call.allow("at")
    moment = await moment_of(call)
    found = await call.services.actions.read(call.params["action"])
    if found is not None and moment is not None:
        found = _then(found, moment.position)
    if found is None or not await _sees(call, found):
        raise Problem("not_found", "there is no such action")
    return json(await _row(call, found))


def _then(found: Action, position: int) -> Action | None:
    """As it was told up to a position; None before it began."""
    if found.started > position:
        return None
    if found.finished is not None and found.finished <= position:
        return found
    return replace(found, finished=None, finished_at=None, changed=0, refused=0)


async def _sees(call: Call, found: Action) -> bool:
    """Whoever is limited to queues sees what touched none but these."""
    if call.caller.queues is None:
        return True
    if found.queue is not None:
        return call.caller.sees(await call.services.names.queue_name(found.queue))
    named = found.filter.get("queue")
    among = [named] if named is not None else found.filter.get("queues")
    return among is not None and all(call.caller.sees(name) for name in among)


async def _row(call: Call, found: Action) -> ActionRow:
    names = call.services.names
    queue = None if found.queue is None else await names.queue_name(found.queue)
    told = {name: value for name, value in found.filter.items() if name not in _NOT_TOLD}
    if found.q is not None:
        told["q"] = found.q
    return ActionRow(
        found.action_id, found.action, queue, found.position, found.matched,
        found.changed, found.refused, times.to_text(found.started_at),
        None if found.finished_at is None else times.to_text(found.finished_at),
        await names.actor_name(found.actor), found.reason, told,
    )  # fmt: skip


ENDPOINTS: Final = (
    Endpoint(
        method="POST", path="/jobs/actions", run=act, scope="operate", tag="jobs", body=Bulk, answer=BulkDone,
        summary="Cancel, retry or erase all jobs of a filter. A dry run answers count and position.",
    ),
    Endpoint(
        method="GET", path="/actions/{action}", run=read, scope="read", tag="jobs", answer=ActionRow,
        summary="What a drain or bulk action was to do, and how far it is.", query={"at": AT},
    ),
    Endpoint(
        method="POST", path="/actions/{action}/undo", run=undo, scope="operate", tag="jobs", body=Reason,
        answer=BulkDone, summary="Bring back the waiting jobs that a bulk cancel ended.",
    ),
)  # fmt: skip
