"""The simulation of tests/protocol is only as good as its twins: here they stand beside the real servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hivelog.broker import keys, scripts

from .protocol.both import Both
from .protocol.world import World, simulate


@pytest.fixture
def both(database: str) -> Iterator[type[Both]]:
    made: list[Both] = []

    class Here(Both):
        url = database

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    yield Here
    made[0].close()
    assert not made[0].differences, made[0].differences[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_postgres_and_its_twin_say_the_same(both: type[Both], seed: int) -> None:
    world = simulate(seed, 8_000, server=both, without=("tail_lost", "copy_put_back"))
    database = world.database
    assert isinstance(database, Both)
    assert database.same_log() > 300
    assert database.compared > 1_500


def test_valkey_and_its_twin_say_the_same(redis_url: str) -> None:
    """The scripts of a simulated history, once more on a real server."""
    calls: list[tuple[str, tuple[bytes, ...], Any]] = []

    class Recorded(World):
        def _scripted(self, name: str, arguments: tuple[bytes, ...], answer: Any) -> None:
            calls.append((name, arguments, answer))

        def fault_redis_flushed(self) -> None:
            super().fault_redis_flushed()
            calls.append(("flush", (), None))

    simulate(5, 30_000, world=Recorded, without=("redis_restored",), favours=("redis_flushed",))
    server = redis.Redis.from_url(redis_url)
    compared = 0
    for name, arguments, answer in calls:
        if name == "flush":
            server.flushdb()
        else:
            told: Any = server.eval(scripts.load(name).decode(), 1, keys.AT, *arguments)
            # Deadlines are of another clock; SMEMBERS has no order.
            if name not in ("expired", "audit"):
                compared += 1
                assert told == answer, (compared, name, arguments)
    assert compared > 1_000
