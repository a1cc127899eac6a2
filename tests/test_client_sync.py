"""The client without async: from plain code, from many threads, and not across a fork."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import hivelog
import pytest
from client_world import World, opened
from hivelog import SyncClient

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
async def world(database: str, redis_url: str):
    async with opened(database, redis_url) as world:
        yield world


@pytest.fixture
def client(world: World):
    with SyncClient(settings=world.settings, name="sync") as client:
        yield client


def test_the_same_methods_without_async(client: SyncClient) -> None:
    job = client.enqueue("default", "mail", {"n": 1}, priority=3, delay=60)
    assert client.job(job.id).metadata.priority == 3
    assert client.reschedule(job.id, priority=4).status == "pending"
    assert client.cancel(job.id).status == "cancelled"
    assert client.wait(job.id, timeout=5).status == "cancelled"
    assert client.retry(job.id).status == "queued"
    assert [event.actor for event in client.history(job.id).events] == ["client:sync"] * 4
    assert len(client.enqueue_many([("default", "mail", 1), ("default", "mail", 2)])) == 2
    assert len(list(client.events(type="enqueued", limit=1))) == 3
    assert list(client.jobs(queue="default")) == []
    client.pause("default")
    assert client.stats("default")["paused"]
    client.resume("default")
    assert client.drain("default")["cancelled"] == 3
    assert client.configure("mine").name in {queue.name for queue in client.queues()}
    assert (client.failures(), client.workers()["total"]) == ([], 0)
    assert "retention_days" in client.config()
    assert client.scale("default", 7)["desired"] == 7
    assert client.scale("default", "auto")["desired"] == 5


def test_many_threads_share_one(client: SyncClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda n: client.enqueue("default", "mail", n), range(200)))
    assert len({job.id for job in jobs}) == 200
    assert client.stats("default")["queued"] == 200


def test_errors_reach_the_caller(client: SyncClient) -> None:
    with pytest.raises(hivelog.UnknownQueue):
        client.enqueue("nowhere", "mail", {})
    with pytest.raises(hivelog.WaitTimeout):
        client.wait(client.enqueue("default", "mail", {}).id, timeout=0.05)


def test_a_forked_child_is_told_instead_of_waiting_for_ever(client: SyncClient) -> None:
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            client.enqueue("default", "mail", {})
        except BaseException as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answers:
        said = answers.read()
    os.waitpid(child, 0)
    assert b"before the fork" in said
    assert client.enqueue("default", "mail", {}).status == "queued"


def test_it_must_be_open_and_can_be_closed_twice(world: World) -> None:
    client = SyncClient(settings=world.settings)
    with pytest.raises(RuntimeError, match="not open"):
        client.queues()
    client.open()
    client.close()
    client.close()


def test_what_runs_beside_the_callers_ends_with_it(client: SyncClient) -> None:
    """A task that is left behind is complained of by asyncio, whenever it is found."""
    assert client._loop is not None
    beside = asyncio.run_coroutine_threadsafe(asyncio.Event().wait(), client._loop)
    client.close()
    assert beside.cancelled()
