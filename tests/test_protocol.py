"""The protocol of append, feed, claim, fence, reap and epoch, simulated: see tests/protocol/README.md."""

from __future__ import annotations

import asyncio

import pytest

from .protocol.bugs import BUGS, Bug, found_by
from .protocol.loop import simulated
from .protocol.world import simulate


@pytest.mark.parametrize("seed", range(1, 9))
def test_drawn_histories_keep_the_invariants(seed: int) -> None:
    world = simulate(seed, 8_000)
    assert world.checker.handled > 20


def test_a_history_without_faults_troubles_nobody() -> None:
    world = simulate(1, 10_000, calm=True)
    assert world.trouble == []
    assert not world.faults


def test_a_seed_tells_the_same_history_again() -> None:
    first, again = (simulate(4, 6_000) for _ in range(2))
    assert first.database.tables.events == again.database.tables.events
    assert (first.loop.steps, list(first.trace)) == (again.loop.steps, list(again.trace))


def test_what_a_history_leaves_behind_is_over_with_it() -> None:
    """Who holds it, as a traceback does, hears nothing of it later."""

    async def stubborn() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            tasks.append(loop.create_task(asyncio.sleep(1)))  # which never begins
            await asyncio.Future(loop=loop)

    with simulated(1) as loop:
        tasks = [loop.create_task(stubborn())]
        loop.run_until_complete(asyncio.sleep(1))
    assert all(task.get_coro().cr_frame is None for task in tasks)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.guard.replace(" ", "-"))
def test_a_missing_guard_is_found(bug: Bug) -> None:
    found = found_by(bug)
    assert found is not None, "no history breaks anything without this guard"
    assert found.rule in bug.finds
