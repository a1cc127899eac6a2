"""A rolling upgrade: the worker of the version before goes on while the schema moves under it.

The version before is the tree before the last change of what PostgreSQL is told, out of the checkout's own
history; without that history (a shallow clone, a source archive) there is nothing to compare with.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hivelog.sql import migrate

from .cli_world import environment_of
from .intact import assert_intact
from .test_redis_faults import runs
from .test_worker import Bench, beaten, opened, until

ROOT = Path(__file__).parents[1]
CHANGED = ("sql/migrations", "sql/functions")
HANDLERS = """
import asyncio
from pathlib import Path
import hivelog
from hivelog import handler

@handler("note")
async def note(ctx, payload):
    with Path(payload["file"]).open("a") as file:
        file.write(f"{payload['n']} {Path(hivelog.__file__).parent}\\n")
    await asyncio.sleep(0.01)
"""


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=True).stdout


def migrations(commit: str) -> list[str]:
    """Names and contents of a tree's migrations, in their order."""
    listed = git("ls-tree", "--format=%(path) %(objectname)", commit, "--", "sql/migrations/")
    return listed.decode().splitlines()


def previous_commit() -> str:
    """Of the trees before a change, the last that could have been installed: its migrations are the first of
    today's, unchanged. Not so in the middle of a change that was committed in steps. Skips where the history
    does not go back so far."""
    try:
        if git("status", "--porcelain", "--", *CHANGED).strip():
            return "HEAD"
        today = migrations("HEAD")
        for changed in git("log", "-20", "--format=%H", "--", *CHANGED).decode().split():
            before = git("rev-parse", "--verify", f"{changed}^").decode().strip()
            known = migrations(before)
            if known == today[: len(known)]:
                return before
    except (OSError, subprocess.CalledProcessError):
        pass
    pytest.skip("the version before is not here: a shallow clone, or no git at all")


@pytest.fixture
def old_tree(tmp_path: Path) -> Path:
    """A folder to import the version before from."""
    folder = tmp_path / "old"
    with tarfile.open(fileobj=BytesIO(git("archive", previous_commit()))) as archive:
        archive.extractall(folder / "hivelog", filter="data")
    return folder


@pytest.fixture
def handlers(tmp_path: Path) -> Path:
    """A folder with a module of handlers for either version."""
    folder = tmp_path / "handlers"
    folder.mkdir()
    (folder / "version_handlers.py").write_text(HANDLERS)
    return folder


def hivelog(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "hivelog.cli", *arguments]


@contextlib.contextmanager
def worker(places: dict[str, str], name: str) -> Iterator[subprocess.Popen[bytes]]:
    arguments = ("--handlers", "version_handlers", "--queue", "default", "--concurrency", "4", "--name", name)
    process = subprocess.Popen(hivelog("worker", *arguments), env=places)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(30) == 0


async def put(bench: Bench, file: Path, numbers: range) -> list[bytes]:
    return [await bench.put("note", {"file": str(file), "n": n}, queue="default") for n in numbers]


async def test_the_previous_versions_worker_goes_on_while_the_schema_moves(
    empty_database: str, redis_url: str, tmp_path: Path, old_tree: Path, handlers: Path
) -> None:
    file = tmp_path / "runs"
    new = environment_of(empty_database, redis_url, tmp_path) | {"PYTHONPATH": str(handlers)}
    old = new | {"PYTHONPATH": os.pathsep.join((str(old_tree), str(handlers)))}
    for command in (("migrate",), ("queues", "default", "--set", "max_retries=0")):
        subprocess.run(hivelog(*command), env=old, check=True, capture_output=True)
    with worker(old, "old"):
        told = hivelog("enqueue", "default", "note", f'{{"file": "{file}", "n": -1}}')
        subprocess.run(told, env=old, check=True, capture_output=True)

        async def first() -> bool:
            return len(await runs(file)) == 1

        await until(first, 40)
        assert migrate.migrate(empty_database).changed
        async with opened(empty_database, redis_url) as bench:
            jobs = await put(bench, file, range(40))
            for job in jobs:
                await bench.happened(job, "completed", seconds=30)
            with worker(new, "new"):

                async def both() -> bool:
                    row = bench.probe.execute("select count(*) from hivelog.sessions").fetchone()
                    return row == (2,)

                await until(both, 40)
                jobs += await put(bench, file, range(40, 80))
                await beaten(bench.probe)  # both
                for job in jobs:
                    assert (await bench.ended(job))[0] == "completed"
            assert {tuple(bench.types(job)) for job in jobs} == {("enqueued", "started", "completed")}
    lines = [line.split(" ", 1) for line in await runs(file)]
    assert Counter(int(number) for number, _ in lines) == dict.fromkeys(range(-1, 80), 1)
    by_old = {int(number) for number, place in lines if place == str(old_tree / "hivelog")}
    assert by_old >= set(range(-1, 40)), "until the new worker came, the old one ran them all"
    assert_intact(empty_database)
