"""A library prints nothing by itself: programs that use `Client`, and commands that answer with JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .cli_world import environment_of

CLIENT = """
import asyncio
from hivelog import Client, SyncClient

async def enqueue():
    async with Client() as client:
        await client.configure("letters", max_retries=1)
        job = await client.enqueue("letters", "mail", {"to": "ann"})
        await client.cancel(job.id)
        while not client._own._engine.feeder.available:  # which is told
            await asyncio.sleep(0.01)

asyncio.run(enqueue())
with SyncClient() as client:
    client.enqueue_many([("letters", "mail", {"n": n}) for n in range(3)])
"""
PROGRAM_THAT_LOGS = "import logging, structlog\nlogging.basicConfig(level='INFO')\n" + CLIENT
PROGRAM_WITH_STRUCTLOG = (
    "import structlog\n" + CLIENT + "structlog.get_logger('shop').warning('own line', price=3)\n"
)
CONFIGURED = (
    "import structlog\nstructlog.configure(processors=[structlog.processors.JSONRenderer()])\n" + CLIENT
)


@pytest.fixture
def environment(database: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(database, redis_url, tmp_path)


def run(environment: dict[str, str], *arguments: str) -> tuple[str, str]:
    """What it wrote to standard output, and to standard error."""
    command = [sys.executable, "-P", *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return ran.stdout, ran.stderr


def test_a_program_that_uses_the_client_prints_nothing(environment: dict[str, str]) -> None:
    assert run(environment, "-c", CLIENT) == ("", "")


def test_our_lines_are_there_for_a_program_that_logs(environment: dict[str, str]) -> None:
    out, err = run(environment, "-c", PROGRAM_THAT_LOGS)
    assert out == ""
    assert "INFO:hivelog.broker.feed:redis_available checkpoint=" in err


def test_lines_of_the_programs_own_structlog_stay_as_they_were(environment: dict[str, str]) -> None:
    out, err = run(environment, "-c", PROGRAM_WITH_STRUCTLOG)
    assert err == ""
    (line,) = out.splitlines()
    assert "own line" in line


def test_a_structlog_that_was_set_up_gets_our_lines_too(environment: dict[str, str]) -> None:
    out, err = run(environment, "-c", CONFIGURED)
    assert err == ""
    assert "redis_available" in [json.loads(line)["event"] for line in out.splitlines()]


def test_a_command_with_json_prints_json_and_nothing_else(environment: dict[str, str]) -> None:
    run(environment, "-c", CLIENT)
    out, err = run(environment, "-m", "hivelog.cli", "enqueue", "letters", "mail", '{"to": "ann"}', "--json")
    assert json.loads(out)["payload"] == {"to": "ann"}
    assert err == ""
    for command in (("jobs", "--json"), ("queues", "--json"), ("pause", "letters")):
        assert run(environment, "-m", "hivelog.cli", *command)[1] == "", command


def test_warnings_of_a_command_go_to_standard_error(
    environment: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    """With Redis away a job is enqueued all the same; whoever reads the JSON must not stumble over it."""
    run(environment, "-c", CLIENT)
    away = environment | {"REDIS_URL": f"unix://{tmp_path}/nobody.sock?db=0", "LOG_LEVEL": "INFO"}
    out, err = run(away, "-m", "hivelog.cli", "enqueue", "letters", "mail", "{}", "--json")
    assert json.loads(out)["status"] == "queued"
    assert "redis_" in err
