"""Settings: typed, bounded, one clear line when wrong, and never a secret in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hivelog import logs
from hivelog.settings import Settings, SettingsError

KEY = "0123456789abcdef0123456789abcdef0123456789w="
OTHER_KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def test_defaults_are_the_contract() -> None:
    settings = Settings.load({"XDG_STATE_HOME": "/state"})
    assert settings.database_url is None
    assert settings.redis_url is None
    assert settings.encryption_enabled is False
    assert settings.queue_enabled
    assert settings.notifications_enabled
    assert (settings.max_message_size, settings.retention_days) == (1_048_576, 30)
    assert (settings.port, settings.heartbeat_seconds, settings.dead_after_seconds) == (8889, 5, 20)
    assert settings.grace_seconds == 30
    assert settings.data == Path("/state/hivelog")
    assert settings.archive_to == Path("/state/hivelog/archive")
    assert Settings.load({"HIVELOG_ARCHIVE": "none"}).archive_to is None


def test_every_name_of_the_environment_is_read() -> None:
    settings = Settings.load(
        {
            "DATABASE_URL": "postgresql://u:p@db:5432/x",
            "REDIS_URL": "redis://redis:6379",
            "MESSAGING_ENCRYPTION_ENABLED": "true",
            "MESSAGING_ENCRYPTION_KEY": f"{KEY}, {OTHER_KEY}",
            "MESSAGING_QUEUE_ENABLED": "0",
            "MESSAGING_NOTIFICATIONS_ENABLED": "off",
            "MESSAGING_STORAGE_BACKEND": "postgresql",
            "MAX_MESSAGE_SIZE": "2048",
            "MESSAGE_RETENTION_DAYS": "7",
            "HIVELOG_ARCHIVE": "/mnt/archive",
            "HIVELOG_HOST": "0.0.0.0",
            "HIVELOG_PORT": "80",
            "HIVELOG_HANDLERS": "app.jobs,app.more",
            "HIVELOG_ADMIN_TOKEN": "a" * 32,
            "HIVELOG_HEARTBEAT_SECONDS": "0.5",
            "HIVELOG_DEAD_AFTER_SECONDS": "2",
            "HIVELOG_GRACE_SECONDS": "1",
            "HIVELOG_DATA": "/app/data",
            "HIVELOG_MIGRATE_URL": "postgresql://owner@db/x",
            "HIVELOG_SIGNING_KEY": KEY,
            "HIVELOG_ANCHOR_FILE": "/mnt/anchors",
            "HIVELOG_ANCHOR_URL": "https://anchors/in",
            "HIVELOG_ANCHOR_SECONDS": "60",
            "TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": "JSON",
            "PATH": "/bin",
        }
    )
    assert settings == Settings(
        database_url="postgresql://u:p@db:5432/x",
        redis_url="redis://redis:6379",
        encryption_enabled=True,
        encryption_keys=(KEY, OTHER_KEY),
        queue_enabled=False,
        notifications_enabled=False,
        max_message_size=2048,
        retention_days=7,
        archive="/mnt/archive",
        host="0.0.0.0",
        port=80,
        handlers=("app.jobs", "app.more"),
        admin_token="a" * 32,
        heartbeat_seconds=0.5,
        dead_after_seconds=2,
        grace_seconds=1,
        data=Path("/app/data"),
        migrate_url="postgresql://owner@db/x",
        signing_keys=(KEY,),
        anchor_file=Path("/mnt/anchors"),
        anchor_url="https://anchors/in",
        anchor_seconds=60,
        trusted_proxies=("10.0.0.0/8", "::1"),
        log_level="DEBUG",
        log_format="json",
    )


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"HIVELOG_PROT": "1"}, "did you mean HIVELOG_PORT"),
        ({"MESSAGING_ENCRYPTION": "true"}, "MESSAGING_ENCRYPTION is not a setting"),
        ({"HIVELOG_PORT_FILE": "/x"}, "HIVELOG_PORT_FILE is not a setting"),
        ({"HIVELOG_PORT": "65536"}, "HIVELOG_PORT must be a whole number"),
        ({"HIVELOG_PORT": "٣"}, "HIVELOG_PORT must be a whole number"),
        ({"MAX_MESSAGE_SIZE": "-1"}, "MAX_MESSAGE_SIZE must be"),
        ({"HIVELOG_GRACE_SECONDS": "nan"}, "HIVELOG_GRACE_SECONDS must be seconds"),
        ({"HIVELOG_GRACE_SECONDS": "soon"}, "HIVELOG_GRACE_SECONDS must be seconds"),
        ({"MESSAGING_QUEUE_ENABLED": "maybe"}, "must be true or false"),
        ({"MESSAGING_STORAGE_BACKEND": "redis"}, "must be postgresql"),
        ({"LOG_FORMAT": "xml"}, "must be console or json"),
        ({"TRUSTED_PROXIES": "everybody"}, "TRUSTED_PROXIES must be IP addresses"),
        ({"HIVELOG_DEAD_AFTER_SECONDS": "6"}, "three times HIVELOG_HEARTBEAT_SECONDS"),
        ({"DATABASE_URL_FILE": "/nowhere"}, "DATABASE_URL_FILE: /nowhere cannot be read"),
        (
            {"DATABASE_URL_FILE": "/x", "DATABASE_URL": "postgresql://h/d"},
            "DATABASE_URL and DATABASE_URL_FILE are both set",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        Settings.load(environ)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://user:hunter2-secret@host/x"),
        ("DATABASE_URL", "postgresql://[hunter2-secret"),
        ("REDIS_URL", "http://:hunter2-secret@host"),
        ("MESSAGING_ENCRYPTION_KEY", "hunter2-secret"),
        ("HIVELOG_ADMIN_TOKEN", "hunter2-secret"),
    ],
)
def test_no_message_repeats_a_secret(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        Settings.load({name: value})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:p@h/d\n")
    settings = Settings.load({"DATABASE_URL_FILE": str(file), "DATABASE_URL": ""})
    assert settings.database_url == "postgresql://u:p@h/d"


def test_overrides_win_and_none_does_not() -> None:
    environ = {"HIVELOG_PORT": "1"}
    assert Settings.load(environ, port=2, host=None).port == 2
    assert Settings.load(environ, port=None).port == 1
    with pytest.raises(SettingsError, match="prot"):
        Settings.load(environ, prot=2)


def test_repr_hides_secrets() -> None:
    settings = Settings.load(
        {
            "DATABASE_URL": "postgresql://u:hunter2@h/d",
            "HIVELOG_ADMIN_TOKEN": "hunter2" * 3,
            "MESSAGING_ENCRYPTION_KEY": KEY,
        }
    )
    assert "hunter2" not in f"{settings!r} {settings}"
    assert KEY not in repr(settings)
    assert "port=8889" in repr(settings)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where logs go during one test; the logging of the test run is put back."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("style", ["json", "console"])
def test_logs_hold_no_secret(stream: io.StringIO, style: str) -> None:
    logs.setup("INFO", style, stream)
    log = structlog.get_logger("hivelog.test")
    payload = "hunter2"
    log.info("a", admin_token=payload, url="redis://:hunter2@h:1", nested=[{"password": payload}])
    logging.getLogger("other").warning("cannot reach %s", "postgresql://u:hunter2@h/d")
    try:
        raise ValueError("postgresql://u:hunter2@h/d")
    except ValueError:
        log.exception("b", encryption_key=payload.encode())
    written = stream.getvalue()
    assert "hunter2" not in written
    assert "redis://:***@h:1" in written
    assert "ValueError" in written


def test_json_logs_are_one_object_a_line(stream: io.StringIO) -> None:
    logs.setup("WARNING", "json", stream)
    log = structlog.get_logger("hivelog.test")
    log.info("below_the_level")
    log.warning("worker_lost", worker="w1", tokens=3)
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert said["event"] == "worker_lost"
    assert (said["level"], said["logger"]) == ("warning", "hivelog.test")
    assert (said["worker"], said["tokens"]) == ("w1", 3)
    assert said["timestamp"].endswith("Z")
