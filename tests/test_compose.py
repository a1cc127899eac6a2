"""The compose file and the image say what the mission's deployment says. No Docker is needed: text only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hivelog.events.queue import DEFAULT_QUEUES
from hivelog.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def service(name: str) -> str:
    """The block of one service."""
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    assert found, name
    return found[1]


def test_messaging_is_as_the_mission_names_it() -> None:
    block = service("messaging")
    for line in ("container_name: sting-ce-messaging", '"8889:8889"', "sting_local:", "- messaging",
                 "condition: service_healthy", "/health/ready"):  # fmt: skip
        assert line in block, line
    assert "mem_limit: 256M" in COMPOSE
    assert "messaging_data:/app/data" in COMPOSE
    assert "curl" not in COMPOSE + DOCKERFILE


def test_only_the_api_is_open_and_the_database_here_alone() -> None:
    ports = re.findall(r'- "([\d.:]+:\d+)"', COMPOSE)
    assert sorted(ports) == ["127.0.0.1:5433:5432", "8889:8889"]
    assert "ports" not in service("redis")
    assert "noeviction" in service("redis")


def test_the_environment_is_one_that_the_product_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"x-environment:.*\n((?:  .*\n)+)", COMPOSE)
    assert found
    pairs = dict(re.findall(r"^  ([A-Z_]+): \"?([^\"#\n]+?)\"?(?: #.*)?$", found[1], re.MULTILINE))
    pairs["DATABASE_URL"] = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", pairs["DATABASE_URL"])
    settings = Settings.load(pairs)
    assert settings.encryption_enabled
    assert settings.max_message_size == 1_048_576
    assert settings.database_url == "postgresql://app_user:app_secure_password_change_me@db:5432/sting_messaging"
    assert settings.data == Path("/app/data")


def test_the_workers_are_supervised() -> None:
    block = service("worker")
    command = re.search(r'command: \["supervise", "--max-processes", "(\d+)"\]', block)
    assert command
    # The processes of the queues out of the box have room in it, at 100 MiB each.
    least = sum(queue.scaling.min for queue in DEFAULT_QUEUES.values())
    memory = re.search(r"mem_limit: (\d+)M", block)
    assert memory
    assert least <= int(command[1])
    assert 100 * int(command[1]) <= int(memory[1])
    # Compose must not kill what still drains: 30 s of grace, and what the supervisor adds.
    assert int(re.search(r"stop_grace_period: (\d+)s", block)[1]) > 30 + 20  # type: ignore[index]


def test_the_image_runs_without_rights() -> None:
    assert re.search(r"^USER hivelog$", DOCKERFILE, re.MULTILINE)
    assert 'CMD ["serve"]' in DOCKERFILE
