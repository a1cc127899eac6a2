"""What the jobs of one call have in common: all but id, payload and seal.

Most jobs of a (queue, type, actor) say nothing of their own, so their recipe is made twice a second
and not once a job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Final

import msgspec
from msgspec import Struct

from ..events import ids, spec
from ..events.batch import Enqueue
from ..events.fields import InvalidField
from ..events.names import Names, Queue
from ..events.queue import QueueConfig
from ..events.spec import Prepared
from ..events.vault import Sealed, Vault
from .errors import invalid, unknown_queue

_FRESH: Final = 0.5  # s
_MOST: Final = 10_000  # recipes


class Recipe(Struct, frozen=True):
    """Good until `until`, unless this process changes a queue before."""

    queue: int
    type: int
    actor: int
    prepared: Prepared
    version: int
    until: float


class Recipes:
    """Makes and keeps recipes. Raises Rejected for a queue, type or option that will not do."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._plain: dict[tuple[str, str, str], Recipe] = {}
        self._configs: dict[int, tuple[int, QueueConfig]] = {}

    def known(self, queue: str, type_: str, actor: str) -> Recipe | None:
        """Of a job without options, if it is still good."""
        known = self._plain.get((queue, type_, actor))
        if known is not None and known.version == self._names.version and monotonic() < known.until:
            return known
        return None

    async def plain(self, queue: str, type_: str, actor: str) -> Recipe:
        """Of a job without options."""
        if (known := self.known(queue, type_, actor)) is not None:
            return known
        made = await self.special(queue, type_, actor, None, keyed=False)
        if len(self._plain) >= _MOST:
            self._plain.clear()
        self._plain[queue, type_, actor] = made
        return made

    async def special(
        self, queue: str, type_: str, actor: str, options: Mapping[str, object] | None, *, keyed: bool
    ) -> Recipe:
        """Of a job with options, or with an idempotency key."""
        until = monotonic() + _FRESH
        found = await self._names.queue(queue)
        if found is None:
            raise unknown_queue(queue)
        try:
            prepared = spec.prepare(type_, self._config(found), options, idempotency=keyed)
        except InvalidField as error:
            raise invalid(error.field, error.reason) from None
        type_id, actor_id = await self._names.type_id(type_), await self._names.actor_id(actor)
        return Recipe(found.id, type_id, actor_id, prepared, self._names.version, until)

    def _config(self, queue: Queue) -> QueueConfig:
        found = self._configs.get(queue.id)
        if found is None or found[0] != queue.position:
            found = (queue.position, msgspec.convert(queue.config, QueueConfig))
            self._configs[queue.id] = found
        return found[1]


def job_of(recipe: Recipe, body: bytes, vault: Vault) -> Enqueue:
    """A new job, with its id and its payload sealed."""
    job = ids.mint()
    return _made(job, recipe, vault.seal_new(job, body))


def jobs_of(recipes: Sequence[Recipe], bodies: Sequence[bytes], vault: Vault) -> list[Enqueue]:
    """The same for many, from a single draw of randomness."""
    minted = ids.mint_many(len(recipes))
    return list(map(_made, minted, recipes, vault.seal_many(minted, bodies)))


def _made(job: bytes, recipe: Recipe, sealed: Sealed) -> Enqueue:
    like = recipe.prepared
    return Enqueue(
        job, recipe.queue, recipe.type, like.spec.priority, recipe.actor, like.encoded,
        sealed.size, sealed.digest, sealed.salt or b"", sealed.body,
        like.due_at, like.expires_at, like.correlation, sealed.kek, sealed.wrapped,
    )  # fmt: skip
