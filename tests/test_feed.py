"""The feed: in order, exactly once, whatever happens to the messages on the way. Against real servers."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from hivelog.broker.feed_message import FeedMessage, feed_message
from hivelog.broker.lag import Lag
from hivelog.broker.sweep import sweep
from hivelog.events import epoch
from hivelog.events.batch import End, Enqueue, Part
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .batches import Desk, part
from .redis_rig import PREFIX, Rig, rig, until


async def deliver(bench: Rig, message: FeedMessage) -> bytes:
    answer = await bench.redis.run("feed", message.encode())
    return bytes(answer[0])


async def enqueued(bench: Rig, count: int) -> list[FeedMessage]:
    """One message a job, none of them sent."""
    return [feed_message(await bench.append(part(bench.desk.enqueue()), feed=False)) for _ in range(count)]


async def test_messages_apply_once_in_order_whatever_order_they_come_in(
    database: str, redis_url: str
) -> None:
    async with rig(database, redis_url, running=False) as bench:
        messages = await enqueued(bench, 4)
        assert await deliver(bench, messages[2]) == b"early"
        assert await deliver(bench, messages[1]) == b"early"
        assert await deliver(bench, messages[3]) == b"early"
        assert bench.held() == {}
        assert await deliver(bench, messages[0]) == b"applied"
        assert bench.checkpoint() == bench.log.head
        assert bench.held() == bench.ready()
        assert await deliver(bench, messages[1]) == b"stale"


async def test_the_buffer_for_early_messages_is_bounded(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        messages = await enqueued(bench, 300)
        answers = [await deliver(bench, message) for message in messages[1:]]
        assert answers.count(b"early") == 256
        assert answers[-1] == b"full"
        await bench.restorer.restore()
        assert bench.held() == bench.ready()
        assert bench.raw.hlen(PREFIX + b"early") == 0


async def test_a_merged_message_is_the_final_state(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        job, other = bench.desk.enqueue(priority=1), bench.desk.enqueue()
        parts = [part(job, other), part(bench.desk.reprioritize(job, 9)), part(bench.desk.cancel(other))]
        first, *rest = [feed_message(await bench.append(each, feed=False)) for each in parts]
        assert [first.merge(message) for message in rest] == [True, True]
        assert await deliver(bench, first) == b"applied"
        assert bench.held() == bench.ready() == {(job.queue, job.type): [(9, job.job)]}


async def test_an_overlapping_message_applies_after_a_catch_up(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        first, second = await enqueued(bench, 2)
        await bench.restorer.restore()
        third, fourth = await enqueued(bench, 2)
        assert all([first.merge(second), first.merge(third), first.merge(fourth)])
        assert await deliver(bench, first) == b"applied"
        assert bench.held() == bench.ready()


async def test_another_epoch_changes_nothing(database: str, redis_url: str) -> None:
    async with rig(database, redis_url, running=False) as bench:
        (message,) = await enqueued(bench, 1)
        message.epoch = 7
        assert await deliver(bench, message) == b"rebuild"
        assert bench.held() == {}


async def test_waiting_messages_merge_while_one_is_under_way(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        bench.raw.config_resetstat()
        appended = [await bench.log.append([part(bench.desk.enqueue())]) for _ in range(100)]
        for each in appended:
            bench.feeder.appended(each)
        await bench.fed()
        assert bench.held() == bench.ready()
        assert bench.raw.info("commandstats")["cmdstat_evalsha"]["calls"] < 20


async def test_a_released_job_is_ready_again(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        await bench.append(part(*(bench.desk.enqueue(priority=n) for n in range(3))))
        await bench.fed()
        (job,) = (await bench.start(1)).started
        await bench.append(part(End(job.job, job.token, "released")))
        await bench.fed()
        assert bench.held() == bench.ready()
        assert len((await bench.claim(5)).items) == 3


async def test_scheduled_jobs_come_when_they_are_due(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        job = bench.desk.enqueue(due=int(time.time() * 1000) + 3_600_000)
        await bench.append(part(job))
        await bench.fed()
        assert bench.held() == bench.ready() == {}


async def test_picks_and_starts_without_a_claim_leave_redis(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        jobs = [bench.desk.enqueue() for _ in range(6)]
        await bench.append(part(*jobs))
        await bench.append(part(bench.desk.pick(2), bench.desk.start(jobs[5])))
        await bench.fed()
        assert len(bench.ready()[bench.desk.queue, bench.desk.type]) == 3
        assert bench.held() == bench.ready()


async def test_a_gap_that_nobody_closes_is_caught_up(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        await bench.append(part(bench.desk.enqueue()), feed=False)  # its process died here
        await bench.append(part(bench.desk.enqueue()))
        await bench.fed()
        assert bench.held() == bench.ready()


async def test_a_gap_with_nothing_behind_it_is_caught_up(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        await bench.append(part(bench.desk.enqueue()), feed=False)
        await until(lambda: bench.checkpoint() == bench.log.head)
        assert bench.held() == bench.ready()


@pytest.mark.parametrize("lost", [b"flush", b"at", b"claims", b"q", b"s", b"t"])
async def test_lost_keys_come_back(database: str, redis_url: str, lost: bytes) -> None:
    """A flush at the next look, an evicted key at the next audit."""
    async with rig(database, redis_url, max_workers=40) as bench:
        await bench.append(part(*(bench.desk.enqueue() for _ in range(9))))
        await bench.append(part(bench.desk.pick(2)))
        await bench.fed()
        await bench.claim(3)
        if lost == b"flush":
            bench.raw.flushdb()
        else:
            build = bench.raw.hget(PREFIX + b"at", "build")
            keys = [PREFIX + b"at"] if lost == b"at" else bench.raw.keys(PREFIX + build + b":" + lost + b"*")
            assert bench.raw.delete(*keys) > 0
        await until(lambda: bench.held() == bench.ready() and bench.state("running") == 2, 20)
        await until(lambda: bench.feeder.available)
        assert (bench.state("max"), bench.state("popped")) == (40, 0)


async def test_a_checkpoint_ahead_of_the_log_means_another_log(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        await bench.append(part(bench.desk.enqueue()))
        await bench.fed()
        bench.raw.hset(PREFIX + b"at", mapping={"position": bench.log.head + 1000, "log": "another"})
        await until(lambda: bench.checkpoint() == bench.log.head)
        assert bench.held() == bench.ready()


async def test_redis_that_has_more_of_the_log_is_kept_until_the_new_epoch(database: str, redis_url: str) -> None:
    """It may be the only one that knows, and others are still to learn it."""
    async with rig(database, redis_url) as bench:
        await bench.append(part(bench.desk.enqueue()))
        await bench.fed()
        noticed = asyncio.Event()
        bench.feeder.on_ahead(noticed.set)
        ahead = bench.log.head + 1000
        bench.raw.hset(PREFIX + b"at", "position", ahead)
        async with asyncio.timeout(10):
            await noticed.wait()
        assert bench.checkpoint() == ahead
        async with bench.pool.connection() as connection:
            found = await epoch.identity(connection)
        assert await epoch.open_epoch(bench.log, found, 1, 1, "ahead") == 2
        await until(lambda: bench.checkpoint() == bench.log.head)
        assert bench.held() == bench.ready()


async def test_damaged_keys_are_replaced(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        await bench.append(part(bench.desk.enqueue()))
        await bench.fed()
        bench.raw.set(PREFIX + b"at", "not a hash")
        await bench.append(part(bench.desk.enqueue()))
        await until(lambda: bench.raw.type(PREFIX + b"at") == b"hash")
        await until(lambda: bench.held() == bench.ready())


async def test_a_full_redis_never_stops_the_log(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        bench.raw.config_set("maxmemory", "1")
        try:
            await bench.append(part(bench.desk.enqueue()))
            await until(lambda: not bench.feeder.available)
            await bench.append(part(bench.desk.enqueue()))
            assert not bench.feeder.available
        finally:
            bench.raw.config_set("maxmemory", "0")
        await bench.fed()
        assert bench.held() == bench.ready()


async def test_a_hanging_redis_is_given_up_within_a_second(database: str, redis_url: str) -> None:
    async with rig(database, redis_url) as bench:
        bench.raw.client_pause(5000)
        begun = time.monotonic()
        for _ in range(50):
            await bench.append(part(bench.desk.enqueue()))
        assert await bench.claims.pop([(bench.desk.queue, [bench.desk.type], 1)], 1) is None
        assert time.monotonic() - begun < 4  # a second, and this machine's moods
        assert not bench.feeder.available
        await bench.fed()
        assert bench.held() == bench.ready()


async def test_too_much_waiting_is_dropped_and_caught_up(
    database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hivelog.broker.feed._MAX_WAITING", 10)
    async with rig(database, redis_url) as bench:
        appended = [await bench.log.append([part(bench.desk.enqueue())]) for _ in range(40)]
        for each in appended:
            bench.feeder.appended(each)
        await bench.fed()
        assert bench.held() == bench.ready()


def test_lag_follows_one_head_until_it_is_reached() -> None:
    now = 0.0
    lag = Lag(lambda: now)
    lag.saw_checkpoint(5)
    lag.saw_head(5)
    assert lag.seconds == 0
    lag.saw_head(9)
    now = 2.0
    lag.saw_head(12)
    assert lag.seconds == 2
    lag.saw_checkpoint(9)  # the head of then is reached, a newer one is not
    now = 2.5
    assert lag.seconds == 0.5
    lag.saw_checkpoint(12)
    assert lag.seconds == 0


class World:
    """The log moves on by drawn steps; a drawn adversary carries the messages."""

    def __init__(self, bench: Rig, seed: int) -> None:
        self.bench, self.random = bench, random.Random(seed)
        self.ready: list[Enqueue] = []
        self.held: list[Part] = []
        self.messages: list[FeedMessage] = []

    async def write(self, *commands: object) -> None:
        await self.write_part(part(*commands))

    async def write_part(self, made: Part) -> None:
        appended = await self.bench.append(made, feed=False)
        self.messages.append(feed_message(appended))
        released = [End(job.job, job.token, "released") for job in appended.outcomes[0].started]
        if released and self.random.random() < 0.5:
            await self.write(*released)

    async def enqueue(self) -> None:
        jobs = [
            self.bench.desk.enqueue(priority=self.random.randint(0, 2))
            for _ in range(self.random.randint(1, 4))
        ]
        self.ready += jobs
        await self.write(*jobs)

    async def cancel(self) -> None:
        if self.ready:
            await self.write(self.bench.desk.cancel(self.ready.pop()))

    async def reschedule(self) -> None:
        if self.ready:
            await self.write(self.bench.desk.reprioritize(self.ready.pop(0), 5))

    async def pick(self) -> None:
        await self.write(self.bench.desk.pick(2))

    async def switch(self) -> None:
        await self.write(self.bench.desk.record(self.random.choice(["paused", "resumed"])))

    async def claim(self) -> None:
        wanted = [(self.bench.desk.queue, [self.bench.desk.type], 3)]
        claimed = await self.bench.claims.pop(wanted, 3)
        if claimed is not None and claimed.items:
            self.held.append(self.bench.starts(claimed))

    async def start(self) -> None:
        if self.held:
            await self.write_part(self.held.pop(0))

    async def deliver(self) -> None:
        """Any message so far, again or for the first time; perhaps merged with those after it."""
        if self.messages:
            at = self.random.randrange(len(self.messages))
            merged = self.random.randint(0, 3)
            message = FeedMessage(
                self.messages[at].epoch, self.messages[at].first, self.messages[at].first - 1
            )
            for each in self.messages[at : at + 1 + merged]:
                if each.lookup:
                    break
                message.merge(each)
            if message.last >= message.first:
                await deliver(self.bench, message)

    async def flush(self) -> None:
        self.bench.raw.flushdb()

    async def restore(self) -> None:
        await self.bench.restorer.restore()

    async def sweep(self) -> None:
        await sweep(self.bench.redis, self.bench.pool)


STEPS = st.lists(
    st.sampled_from(
        [
            *["enqueue", "claim", "start"] * 2,
            *["deliver"] * 3,
            "cancel",
            "reschedule",
            "pick",
            "switch",
            "flush",
            "restore",
            "sweep",
        ]
    ),
    min_size=5,
    max_size=30,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_any_fate_of_the_messages_ends_with_redis_as_the_log_says(
    database: str, redis_url: str, steps: list[str], seed: int
) -> None:
    async def run() -> None:
        async with rig(database, redis_url, running=False) as bench:
            bench.desk = Desk(database, queue=f"q{seed}")
            bench.raw.flushdb()
            await bench.restorer.restore()
            bench.claims._hold_ms = -1  # every claim is overdue at once: the sweep races all of them
            world = World(bench, seed)
            for step in steps:
                await getattr(world, step)()
            await settled(bench)
            assert extra_and_missing(bench) == ({}, {})
            assert bench.held() == bench.ready()  # also in order
            assert bench.state("popped") == 0

    asyncio.run(run())


def extra_and_missing(bench: Rig) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """Ids (with priority) that only Redis has, and that only PostgreSQL has."""
    held, ready = (
        {job: priority for rows in side.values() for priority, job in rows}
        for side in (bench.held(), bench.ready())
    )
    return (
        {job: held[job] for job in held if held[job] != ready.get(job)},
        {job: ready[job] for job in ready if ready[job] != held.get(job)},
    )


async def settled(bench: Rig) -> None:
    """Faults are over: catch up, sweep, and let a worker meet the ids that are wrong."""
    await bench.restorer.restore()
    while await sweep(bench.redis, bench.pool):
        pass
