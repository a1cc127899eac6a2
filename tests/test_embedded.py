"""The embedded servers: durable, shared, and gone with the last process that used them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from hivelog import embedded
from hivelog.embedded import EmbeddedError, places, postgres
from hivelog.testing.memory import memory

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run it as somebody else")

HOLDER = """
import sys
from hivelog import embedded
with embedded.start(sys.argv[1]) as servers:
    print(servers.database_url, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Removed afterwards, with the servers of a process that a test killed. In memory: nothing here cuts the power."""
    folder = Path(tempfile.mkdtemp(prefix="hivelog-embedded-", dir=memory()))
    yield folder
    wait_until(lambda: not processes(folder), "the servers have stopped")
    embedded.remove(folder)


@contextlib.contextmanager
def holder(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the servers until it reads a line or is killed."""
    command = [sys.executable, "-c", HOLDER, str(data_dir)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline().startswith("postgresql://")
        yield process
        process.kill()


def processes(data_dir: Path) -> list[psutil.Process]:
    """The postmaster, Valkey and the keeper of a data folder."""
    marks = {str(data_dir.resolve()), str((data_dir / "postgres").resolve())}
    marks.add(str((data_dir / "sockets").resolve()))
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if process.pid != os.getpid() and HOLDER not in line and any(m in line for m in marks):
                found.append(process)
    return found


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s for: {what}"
        time.sleep(0.02)


def write(url: str | None, value: int) -> None:
    assert url is not None
    with psycopg.connect(url) as conn:
        conn.execute("create table if not exists kept (value int)")
        conn.execute("insert into kept values (%s)", (value,))


def kept(url: str | None) -> list[int]:
    assert url is not None
    with psycopg.connect(url) as conn:
        return [row[0] for row in conn.execute("select value from kept order by value")]


def test_data_survives_a_restart_and_the_servers_stop_with_the_holder(data_dir: Path) -> None:
    with embedded.start(data_dir) as servers:
        write(servers.database_url, 1)
        assert len(processes(data_dir)) >= 3
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
    with embedded.start(data_dir, with_valkey=False) as servers:
        assert servers.redis_url is None
        assert kept(servers.database_url) == [1]


def test_it_is_durable_private_and_no_superuser(data_dir: Path) -> None:
    with embedded.start(data_dir) as servers:
        assert servers.database_url is not None
        assert servers.redis_url is not None
        with psycopg.connect(servers.database_url) as conn:
            shown = {
                name: conn.execute("select current_setting(%s)", (name,)).fetchone()
                for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
            }
            assert [value[0] for value in shown.values() if value] == ["on", "on", "on", ""]
            role = "select rolsuper, rolcreaterole from pg_roles where rolname = current_user"
            assert conn.execute(role).fetchone() == (False, True)
        with redis.Redis.from_url(servers.redis_url) as cache:
            assert cache.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert cache.config_get("save") == {"save": ""}
            assert cache.config_get("port") == {"port": "0"}
        assert stat.S_IMODE((data_dir / "sockets").stat().st_mode) == 0o700
        assert stat.S_IMODE((data_dir / "postgres").stat().st_mode) == 0o700


def test_the_last_of_two_processes_stops_the_servers(data_dir: Path) -> None:
    with holder(data_dir) as first:
        with embedded.start(data_dir) as servers:
            write(servers.database_url, 1)
            assert first.stdin is not None
            first.stdin.write("\n")
            first.stdin.close()
            assert first.wait(30) == 0
            assert kept(servers.database_url) == [1]
        assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_two_starts_at_once_share_one_server(data_dir: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(data_dir)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    said = [process.stdout.readline() for process in both]
    assert said[0] == said[1] != ""
    postmasters = [p for p in processes(data_dir) if "-D" in p.cmdline()]
    assert len(postmasters) == 1
    for process in both:
        process.communicate("\n", timeout=30)


def test_after_kill_9_of_the_only_holder_the_servers_stop_and_start_again(data_dir: Path) -> None:
    with holder(data_dir) as process:
        write(postgres.url(places.prepare(data_dir)), 1)
        process.kill()
    wait_until(lambda: not processes(data_dir), "the keeper has stopped both servers")
    with embedded.start(data_dir) as servers:
        assert kept(servers.database_url) == [1]


def test_after_kill_9_of_everything_the_next_start_recovers(data_dir: Path) -> None:
    with holder(data_dir) as process:
        write(postgres.url(places.prepare(data_dir)), 1)
        for victim in processes(data_dir):  # the keeper too: nobody tidies up
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        process.kill()
    assert (data_dir / "postgres" / "postmaster.pid").exists()
    with embedded.start(data_dir) as servers:
        assert kept(servers.database_url) == [1]


def test_a_dead_keeper_is_replaced_by_the_next_start(data_dir: Path) -> None:
    with holder(data_dir):
        keepers = [p for p in processes(data_dir) if "keeper.py" in " ".join(p.cmdline())]
        assert len(keepers) == 1
        keepers[0].send_signal(signal.SIGKILL)
        wait_until(lambda: keeper_lock_is_free(data_dir), "the keeper is gone")
        with embedded.start(data_dir):
            assert not keeper_lock_is_free(data_dir)


def keeper_lock_is_free(data_dir: Path) -> bool:
    lock = os.open(data_dir / "embedded" / "keeper.lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def test_a_pid_file_that_names_another_program_does_not_block_the_start(data_dir: Path) -> None:
    with embedded.start(data_dir) as servers:
        write(servers.database_url, 1)
    note = data_dir / "postgres" / "postmaster.pid"
    other = "sleep 60"
    account = places.prepare(data_dir).account
    identity = {"user": account.uid, "group": account.gid} if account else {}
    with subprocess.Popen(other.split(), **identity) as process:  # type: ignore[call-overload]
        note.write_text(f"{process.pid}\n{data_dir}/postgres\n1\n5432\n\n\n0 0\nready\n")
        with embedded.start(data_dir, with_valkey=False) as servers:
            assert kept(servers.database_url) == [1]
        process.kill()


def test_a_long_path_gets_its_sockets_elsewhere(data_dir: Path) -> None:
    deep = data_dir / ("x" * 60) / ("y" * 60)
    try:
        with embedded.start(deep) as servers:
            write(servers.database_url, 1)
            sockets = (deep / "sockets").resolve()
            assert len(str(sockets / ".s.PGSQL.5432")) < 104
            assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    finally:
        embedded.remove(deep)
    assert not sockets.exists()


@as_root
def test_as_root_under_a_private_folder(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither data nor programs are reachable for PostgreSQL's account; no mode is loosened."""
    monkeypatch.setattr(places, "ROOT_STATE", Path(tempfile.mkdtemp(prefix="hivelog-state-")))
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    copy = home / "lib"
    wheel = postgres.wheel()
    for folder in (wheel / "pginstall18", wheel.with_name(f"{wheel.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, copy / folder.relative_to(wheel.parent))
    monkeypatch.setattr(postgres, "wheel", lambda: copy / wheel.name)
    try:
        with embedded.start(home / "data") as servers:
            write(servers.database_url, 1)
            assert stat.S_IMODE(home.stat().st_mode) == 0o700
        with embedded.start(home / "data") as servers:
            assert kept(servers.database_url) == [1]
    finally:
        embedded.remove(home / "data")
        shutil.rmtree(places.ROOT_STATE)


def test_data_of_another_major_version_is_left_alone(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match="PostgreSQL 9"), embedded.start(data_dir):
        pass
    assert (data_dir / "postgres" / "PG_VERSION").read_text() == "9\n"
