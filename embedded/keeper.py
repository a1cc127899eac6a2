"""The process that stops the embedded servers when nobody holds them any more.

Every holder keeps a shared lock on one file. The keeper waits for the exclusive one: it gets that
when the last holder has let go, however that one ended (kill -9 too), and only then stops the
servers. It costs no CPU while it waits. Standard library only, run by path without site-packages,
to stay small.

argv: the folder of the locks, then a JSON object: the arguments of `stop`.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path


def stop(pg_ctl: str, pgdata: str, valkey_socket: str, uid: int | None, gid: int | None) -> None:
    """Stop both; return when they have stopped. `uid`, `gid`: whom to run pg_ctl as, if not us."""
    stop_valkey(valkey_socket)
    if not Path(pgdata, "postmaster.pid").exists():
        return
    for mode in ("fast", "immediate"):  # the second costs a recovery at the next start, no data
        command = [pg_ctl, "-D", pgdata, "-m", mode, "-w", "-t", "30", "stop"]
        done = subprocess.run(
            command,
            cwd="/",
            user=uid,
            group=gid,
            extra_groups=None if uid is None else (),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            return


def stop_valkey(path: str) -> None:
    """Over its socket, not by a noted pid: after a crash that pid may be somebody else's."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        try:
            connection.connect(path)
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")
            while connection.recv(4096):
                pass  # it closes the connection when it ends
        except OSError:
            return


def main(locks: str, servers: str) -> None:
    """Wait for the last holder to go, then stop both servers."""
    keeper = os.open(Path(locks, "keeper.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(keeper, fcntl.LOCK_EX)
    sys.stdout.write("keeping\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    holders = os.open(Path(locks, "holders.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(holders, fcntl.LOCK_EX)
    stop(**json.loads(servers))
    # In this order: a start that gets the holders' lock must see that there is no keeper any more.
    os.close(keeper)
    os.close(holders)


if __name__ == "__main__":
    main(*sys.argv[1:])
