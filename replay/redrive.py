"""Redrive and copy: recorded jobs run again, as themselves or as new ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from ..broker import idempotency
from ..broker.action_reads import Action
from ..broker.action_rules import RULES, Selection
from ..broker.action_steps import Steps
from ..broker.engine import Engine
from ..broker.enqueue import Item
from ..broker.errors import Rejected
from ..broker.payload_schemas import PayloadSchemas
from ..events import ids, times
from . import jobs as recorded
from .action import Replays
from .hold import Hold
from .jobs import RecordedJob
from .pace import Pace

CHUNK: Final = 250  # events an append, as other long commands
_BYTES: Final = 8 * 1024 * 1024  # of payloads in one call
# Keys are kept for a day after their call; past it a resumed copy could not know what it has copied.
RESUMABLE: Final = idempotency.KEPT - 3600 * 1000

Report = Callable[[int, int], None]


class Done(Struct):
    """`changed` jobs run again; `refused`: moved meanwhile, or cannot be enqueued; skipped: by reason."""

    action_id: str
    way: str
    matched: int
    changed: int
    refused: int
    skipped: dict[str, int]


async def redrive(engine: Engine, replays: Replays, action: Action, pace: Pace, report: Report) -> Done:
    """New attempts of the same jobs. A job that moved since is left alone, so that it may be repeated."""
    steps = Steps(engine.appender, engine.names, engine.pool)
    rule = RULES["retry"]
    selection = Selection({}, None, frozenset(action.filter["status"]), action.position, rule.settled)
    skipped: Counter[str] = Counter()
    refused = 0

    async def chunk(some: Sequence[bytes]) -> None:
        nonlocal refused
        able = await recorded.read(engine, some, skipped, bodies=False)
        taken = await steps.take(action, rule, [job.state.id for job in able], selection)
        refused += taken.refused

    async with replays.at_work(action) as hold:
        await _through(await replays.jobs(action), chunk, hold, pace, report)
        changed = await replays.reads.changed(action, rule.event, upto=None)
        return await _over(replays, action, changed, refused, skipped)


async def copy(engine: Engine, replays: Replays, action: Action, pace: Pace, report: Report) -> Done:
    """New jobs with the payload and options of recorded ones, which are their parents."""
    await _still_known(engine, action)
    skipped: Counter[str] = Counter()
    changed = refused = 0
    schemas = PayloadSchemas(engine.pool)
    actor = await engine.names.actor_name(action.actor)

    async def chunk(some: Sequence[bytes]) -> None:
        nonlocal changed, refused
        left = await _uncopied(engine, action, some)
        changed += len(some) - len(left)
        for part in _parts(await recorded.read(engine, left, skipped)):
            made = await _copied(engine, schemas, action, part, actor)
            changed, refused = changed + made, refused + len(part) - made

    async with replays.at_work(action) as hold:
        await _through(await replays.jobs(action), chunk, hold, pace, report)
        return await _over(replays, action, changed, refused, skipped)


async def _still_known(engine: Engine, action: Action) -> None:
    await engine.clock.refresh()
    if await engine.clock.now() - action.started_at > RESUMABLE:
        raise Rejected("conflict", "this copy is older than a day: what it copied is not known any more")


async def _through(
    found: Sequence[bytes], chunk: Callable[[Sequence[bytes]], Awaitable[None]], hold: Hold, pace: Pace,
    report: Report,
) -> None:  # fmt: skip
    size = pace.chunk(CHUNK)
    for first in range(0, len(found), size):
        some = found[first : first + size]
        await pace.take(len(some))
        hold.check()
        await chunk(some)
        report(first + len(some), len(found))


async def _over(replays: Replays, action: Action, changed: int, refused: int, skipped: Counter[str]) -> Done:
    await replays.finish(action, changed, refused, skipped)
    return Done(action.action_id, action.action, action.matched or 0, changed, refused, dict(skipped))


def _parts(found: Sequence[RecordedJob]) -> list[list[RecordedJob]]:
    """Calls of bounded size."""
    parts: list[list[RecordedJob]] = [[]]
    size = 0
    for job in found:
        if parts[-1] and size + len(job.payload) > _BYTES:
            parts.append([])
            size = 0
        parts[-1].append(job)
        size += len(job.payload)
    return parts if found else []


# A call of this action's own: its keys are nobody else's.
_PATH: Final = "/replay"


def _scope(action: Action) -> str:
    return f"replay:{action.action_id}"


async def _uncopied(engine: Engine, action: Action, jobs: Sequence[bytes]) -> list[bytes]:
    """Those that this action has no copy of."""
    keys = [idempotency.hashed_key(_scope(action), _PATH, ids.to_text(job)) for job in jobs]
    async with engine.pool.connection() as connection:
        known = await idempotency.lookup(connection, keys)
    return [job for job, key in zip(jobs, keys, strict=True) if key not in known]


async def _copied(
    engine: Engine, schemas: PayloadSchemas, action: Action, part: Sequence[RecordedJob], actor: str
) -> int:
    """How many of them got a copy. All go in one call; one that cannot is left out of the next."""
    items = [await _item(engine, action, job) for job in part]
    while items:
        try:
            await schemas.check_many(items, caller=_scope(action))
            await engine.enqueuer.enqueue_many(items, actor=actor, scope=_scope(action), path=_PATH)
            break
        except Rejected as error:
            if (index := error.detail.get("index")) is None:
                raise
            del items[index]
    return len(items)


async def _item(engine: Engine, action: Action, job: RecordedJob) -> Item:
    state, spec = job.state, job.state.spec
    options: dict[str, Any] = {
        "priority": spec.priority, "max_retries": spec.max_retries, "retry_delay": spec.retry_delay,
        "retry_backoff": spec.retry_backoff, "timeout": spec.timeout, "source": spec.source,
        "correlation_id": spec.correlation_id, "tags": spec.tags, "parent_id": ids.to_text(state.id),
    }  # fmt: skip
    options |= _times(spec.scheduled_for, spec.expires_at, state.created_at, action.started_at)
    name = await engine.names.queue_name(state.queue)
    key = ids.to_text(state.id)
    return Item(name, spec.type, msgspec.Raw(job.payload), options, key)


def _times(scheduled: str | None, expires: str | None, created: int, now: int) -> dict[str, str]:
    """A time that is still to come stays; else the copy may wait as long as the recorded job might. `now` is
    the action's start, so that a repeated call is the same."""
    if scheduled is not None and times.from_text(scheduled) > now:
        return {"scheduled_for": scheduled} | ({} if expires is None else {"expires_at": expires})
    if expires is None:
        return {}
    return {"expires_at": times.to_text(now + max(times.from_text(expires) - created, 0))}
