"""New jobs: one, or many at once.

    enqueuer = Enqueuer(appender, names, pool, vault, configuration, clock)
    accepted = await enqueuer.enqueue("reports", "monthly", {"user": 1}, actor="user:ann", priority=200)

A hot path: what jobs have in common is in their recipe (recipe.py), randomness is drawn once a call, and
nothing is awaited but the append itself.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeVar

from msgspec import Struct

from ..events.appender import Appender
from ..events.batch import Enqueue, IdempotencyKey, Outcome, Part
from ..events.errors import DatabaseUnavailable, EpochChanged
from ..events.names import Names
from ..events.pool import Pool
from ..events.vault import Vault
from . import idempotency
from . import payload as payloads
from .announcements import Announcer
from .bulk import Bulks, is_big
from .clock import DatabaseClock
from .configuration import Configuration
from .errors import Rejected, invalid, unknown_queue
from .recipe import Recipe, Recipes, job_of, jobs_of

P = ParamSpec("P")
T = TypeVar("T")

MAX_ITEMS: Final = 10_000
MAX_BYTES: Final = 16 * 1024 * 1024

# Preparing a bulk may not hold up the other callers of this process for longer than a few ms.
_TURN: Final = 500


class Accepted(Struct, frozen=True, gc=False):
    """A job that is in the log, since `recorded_at` (ms). `replayed`: it was there before, under the same
    idempotency key, and when is for the log to say."""

    job: bytes
    position: int
    recorded_at: int
    replayed: bool = False


class AcceptedMany(Struct, frozen=True):
    """Jobs in the order of their items; `position` is the last. `replayed`: all were there before.
    `recorded_at` (ms): 0 where it was more than one append, or none."""

    jobs: list[bytes]
    position: int
    recorded_at: int = 0
    replayed: bool = False


class Item(Struct, frozen=True, gc=False):
    """One job of a bulk; `options` are the metadata of the API."""

    queue: str
    type: str
    payload: Any
    options: Mapping[str, object] | None = None
    idempotency_key: str | None = None


def _in_either_epoch(call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """A job that met the end of an epoch is not in the log. In the new one its queue, type and actor may have
    other numbers; nothing else changes."""

    @functools.wraps(call)
    async def again(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await call(*args, **kwargs)
        except EpochChanged:
            return await call(*args, **kwargs)

    return again


class Enqueuer:
    """Checks, seals and appends new jobs. Raises Rejected, Overloaded, DatabaseUnavailable."""

    def __init__(
        self,
        appender: Appender,
        names: Names,
        pool: Pool,
        vault: Vault,
        configuration: Configuration,
        clock: DatabaseClock,
        bulks: Bulks | None = None,
        announcer: Announcer | None = None,
    ) -> None:
        self._appender = appender
        self._names = names
        self._pool = pool
        self._vault = vault
        self._configuration = configuration
        self._clock = clock
        self.bulks = bulks or Bulks(appender, pool)
        self._announcer = announcer
        self._recipes = Recipes(names)

    async def enqueue(
        self,
        queue: str,
        type: str,  # noqa: A002 - the contract's word
        payload: object,
        *,
        actor: str,
        idempotency_key: str | None = None,
        scope: str | None = None,
        path: str | None = None,
        **options: object,
    ) -> Accepted:
        """One job. Options are the metadata of the API; the scope of a key is the actor, its path the
        one of the HTTP API, unless said otherwise."""
        item = Item(queue, type, payload, options or None, idempotency_key)
        if idempotency_key is not None:
            return await self._enqueue_once(item, actor, scope or actor, path or f"/queue/{queue}/jobs")
        part = await self._part(item, actor)
        try:
            outcome = await self._post(part)
        except EpochChanged:  # as `_in_either_epoch`, which costs a call of its own
            part = await self._part(item, actor)
            outcome = await self._post(part)
        if outcome.refused:
            raise await self._refusal(outcome, [item])
        return Accepted(part.enqueues[0].job, outcome.positions["n"][0], outcome.recorded_at)

    async def _part(self, item: Item, actor: str) -> Part:
        if self._clock.stale:
            await self._clock.refresh()
        limit = (await self._configuration.current()).max_message_size
        plain = item.options is None and item.idempotency_key is None
        known = self._recipes.known(item.queue, item.type, actor) if plain else None
        recipe = known or await self._recipe(item, actor)
        return Part(enqueues=[job_of(recipe, payloads.encode(item.payload, limit), self._vault)])

    @_in_either_epoch
    async def _enqueue_once(self, item: Item, actor: str, scope: str, path: str) -> Accepted:
        part = await self._part(item, actor)
        part.keys.append(await self._key(scope, path, item.idempotency_key, item, 0, 0))
        many = await self._submit(part, [item])
        return Accepted(many.jobs[0], many.position, many.recorded_at, many.replayed)

    def _post(self, part: Part) -> asyncio.Future[Outcome]:
        """Beside many others a job waits for workers, not they for it: nothing to announce."""
        if self._announcer is not None and self._appender.idle and part.enqueues[0].due is None:
            self._announcer.announce(part.enqueues[0])
        return self._appender.post(part)

    @_in_either_epoch
    async def enqueue_many(
        self,
        items: Sequence[Item],
        *,
        actor: str,
        idempotency_key: str | None = None,
        scope: str | None = None,
        path: str = "/jobs",
    ) -> AcceptedMany:
        """All of the items or none, up to 10,000 and 16 MiB of payload.

        `idempotency_key` covers the call; items may carry their own instead, and then a job that is
        known already stands for its item.
        """
        if len(items) > MAX_ITEMS:
            raise Rejected("too_large", f"at most {MAX_ITEMS} jobs a call", {"limit": MAX_ITEMS})
        if not items:
            raise invalid("jobs", "must not be empty")
        if self._clock.stale:
            await self._clock.refresh()
        part = Part(enqueues=await self._made_many(items, actor))
        scope = scope or actor
        if idempotency_key is not None:
            if any(item.idempotency_key is not None for item in items):
                raise invalid("idempotency_key", "must be of the call or of its items, not of both")
            body = list(items)
            part.keys.append(await self._key(scope, path, idempotency_key, body, 0, len(items) - 1))
        else:
            part.keys = await self._item_keys(scope, path, items)
        return await self._submit(part, items)

    async def _made_many(self, items: Sequence[Item], actor: str) -> list[Enqueue]:
        recipes, bodies = await self._drafts(items, actor)
        made: list[Enqueue] = []
        for start in range(0, len(items), _TURN):
            made += jobs_of(recipes[start : start + _TURN], bodies[start : start + _TURN], self._vault)
            await asyncio.sleep(0)
        return made

    async def _drafts(self, items: Sequence[Item], actor: str) -> tuple[list[Recipe], list[bytes]]:
        """A recipe and a plain payload for each."""
        limit = (await self._configuration.current()).max_message_size
        recipes: list[Recipe] = []
        bodies: list[bytes] = []
        size = 0
        known: dict[tuple[str, str], Recipe] = {}  # of items that say nothing of their own
        for index, item in enumerate(items):
            try:
                plain = not item.options and item.idempotency_key is None
                recipe = known.get((item.queue, item.type)) if plain else None
                if recipe is None:
                    recipe = await self._recipe(item, actor)
                    if plain:
                        known[item.queue, item.type] = recipe
                recipes.append(recipe)
                bodies.append(payloads.encode(item.payload, limit))
            except Rejected as error:
                error.detail["index"] = index
                raise
            size += len(bodies[-1])
            if size > MAX_BYTES:
                message = f"at most {MAX_BYTES} bytes of payload a call"
                raise Rejected("too_large", message, {"limit": MAX_BYTES})
            if index % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        return recipes, bodies

    async def _recipe(self, item: Item, actor: str) -> Recipe:
        if item.options or item.idempotency_key is not None:
            keyed = item.idempotency_key is not None
            return await self._recipes.special(item.queue, item.type, actor, item.options, keyed=keyed)
        return await self._recipes.plain(item.queue, item.type, actor)

    async def _key(
        self, scope: str, path: str, key: object, body: object, first: int, last: int
    ) -> IdempotencyKey:
        expires_at = await self._clock.now() + idempotency.KEPT
        hashed = idempotency.hashed_key(scope, path, key)
        return IdempotencyKey(hashed, idempotency.fingerprint(body), first, last, expires_at)

    async def _item_keys(
        self, scope: str, path: str, items: Sequence[Item]
    ) -> list[IdempotencyKey]:
        keys = [
            await self._key(scope, path, item.idempotency_key, item, index, index)
            for index, item in enumerate(items)
            if item.idempotency_key is not None
        ]
        seen: dict[bytes, bytes] = {}
        for key in keys:
            # The database compares with calls before this one only.
            if seen.setdefault(key.key, key.fingerprint) != key.fingerprint:
                raise idempotency.mismatch(index=key.first)
        return keys

    async def _submit(self, part: Part, items: Sequence[Item]) -> AcceptedMany:
        jobs = [enqueue.job for enqueue in part.enqueues]
        # Keys are taken and compared in the append itself, so that what has keys is one append.
        if not part.keys and is_big(part.enqueues):
            return AcceptedMany(jobs, await self.bulks.append(part.enqueues))
        outcome = await self._appender.post(part)
        if not outcome.refused:
            return AcceptedMany(jobs, outcome.positions["n"][-1], outcome.recorded_at)
        known = await self._known(part, outcome)
        if known is None:
            raise await self._refusal(outcome, items)
        jobs = [known.get(index, job) for index, job in enumerate(jobs)]
        accepted = outcome.positions["n"]
        if accepted and len(known) < len(jobs):
            return AcceptedMany(jobs, accepted[-1], outcome.recorded_at)
        async with self._pool.connection() as connection:
            position = await idempotency.position_of(connection, jobs)
        return AcceptedMany(jobs, position, replayed=True)

    async def _known(self, part: Part, outcome: Outcome) -> dict[int, bytes] | None:
        """Index -> the job that an earlier call made of it; None when something else refused."""
        found = {n: why.job for (_, n), why in outcome.refused.items() if why.code == "replayed"}
        if len(found) == len(outcome.refused):
            return {n: job for n, job in found.items() if job is not None}
        if not part.keys or any(why.code != "conflict" for why in outcome.refused.values()):
            return None
        # The answer was lost and the log asked instead: it does not say why, so the keys must.
        async with self._pool.connection() as connection:
            stored = await idempotency.lookup(connection, [key.key for key in part.keys])
        return _replays(part.keys, stored, {n for _, n in outcome.refused})

    async def _refusal(self, outcome: Outcome, items: Sequence[Item]) -> Exception:
        (_, index), why = min(outcome.refused.items())
        if why.code == "unknown_queue":
            self._names.forget_queues()
            return unknown_queue(items[index].queue, index=index)
        if why.code == "idempotency_mismatch":
            return idempotency.mismatch()
        return DatabaseUnavailable("the answer was lost; repeat the call with its idempotency key")


def _replays(
    keys: Sequence[IdempotencyKey],
    stored: Mapping[bytes, tuple[bytes, list[bytes]]],
    refused: set[int],
) -> dict[int, bytes] | None:
    known: dict[int, bytes] = {}
    for key in keys:
        fingerprint, jobs = stored.get(key.key, (b"", []))
        if key.first not in refused:
            continue
        if fingerprint and fingerprint != key.fingerprint:
            raise idempotency.mismatch()
        if len(jobs) != key.last - key.first + 1:
            return None
        known |= dict(zip(range(key.first, key.last + 1), jobs, strict=True))
    return known if refused <= known.keys() else None
