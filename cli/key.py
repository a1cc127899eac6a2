"""`hivelog key`: the keys that encrypt what jobs carry."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any
from uuid import UUID

import typer
from msgspec import Struct, to_builtins

from .. import sql
from ..events import keyfile, pool
from ..events.keyring import Keyring
from ..events.names import SYSTEM_STREAM
from ..events.rotate import Rotation
from ..settings import Settings
from . import output
from .api import Target, account, database
from .app import LOG, Data, Json, app
from .errors import FAILED, CommandError

key = typer.Typer(no_args_is_help=True)
app.add_typer(key, name="key", rich_help_panel=LOG)


@key.callback()
def keys() -> None:
    """The keys that encrypt what jobs carry.

    **Example**

    `hivelog key rotate --dry-run`
    """


class Wrapping(Struct, frozen=True):
    """A key-encryption key: `rows` data keys are wrapped by it. `number` is None before its first use."""

    number: int | None
    fingerprint: str
    rows: int
    known: bool  # to this process
    first: bool  # the one that encrypts


@key.command()
def rotate(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say how much is under which key.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Wrap every job's data key anew, by the first key of MESSAGING_ENCRYPTION_KEY.

    Payloads are not touched, and everything may go on running. Stopped, it goes on where it was when it is
    run again. Exit 1 when something is left under a key that is not here. docs/operations.md has the steps.

    **Examples**

    `hivelog key rotate --dry-run`

    `hivelog key rotate`
    """
    import uvloop

    with database(Target(None, None, data)) as settings:
        ring = keyring(settings)
        before = uvloop.run(_wrapping(settings, ring))
        if dry_run:
            return _print_dry_run(before, as_json)
        done = uvloop.run(_rotate(settings, before, as_json))
        after = uvloop.run(_wrapping(settings, ring))
    _print_done(done, after, as_json)
    return FAILED if _missing(after) else 0


def keyring(settings: Settings) -> Keyring:
    """As this process would use it, but none is made. Raises CommandError."""
    path = keyfile.key_path(settings.data)
    given = settings.encryption_keys or keyfile.read_keys(path)
    if not given:
        hint = f"set MESSAGING_ENCRYPTION_KEY to the new key and the old one, or bring {path} here"
        raise CommandError("no encryption key is here", hint)
    return Keyring.from_settings(given)


async def _wrapping(settings: Settings, ring: Keyring) -> list[Wrapping]:
    """All keys of the ring and of the database."""
    async with _connected(settings) as connection:
        rows = await (await connection.execute(sql.load("vault_keks"))).fetchall()
    ours = [kek.fingerprint for kek in ring.keks]
    seen = {name for _, name, _ in rows}
    unused = [(None, name, 0) for name in ours if name not in seen]
    return [
        Wrapping(number, name, count, name in ours, name == ours[0])
        for number, name, count in (*rows, *unused)
    ]


async def _rotate(settings: Settings, before: Sequence[Wrapping], quiet: bool) -> Rotation:
    from ..broker.engine import Engine
    from ..events.rotate import rotate as rewrap

    total = sum(one.rows for one in before if not one.first)
    async with Engine(settings, name="key", pool_size=2) as engine, _connected(settings) as connection:
        ring = engine.vault.keys
        assert ring is not None
        with output.progress("Rewrapping", quiet=quiet) as report:
            return await rewrap(
                connection, ring, engine.appender.submit,
                stream=str(UUID(bytes=SYSTEM_STREAM)),
                actor=await engine.names.actor_id(f"user:{account()}"),
                progress=lambda done: report(done.rewrapped + done.unknown, total),
            )  # fmt: skip


@contextlib.asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[pool.Connection]:
    """Without the timeout of statements: these read the whole vault, however large it is."""
    assert settings.database_url is not None
    connection = await pool.connect(settings.database_url, "hivelog key")
    try:
        await connection.execute("set statement_timeout = 0")
        connection.silence = None
        yield connection
    finally:
        await connection.close()


def _missing(found: Sequence[Wrapping]) -> list[Wrapping]:
    return [one for one in found if one.rows and not one.known]


def _print_dry_run(found: Sequence[Wrapping], as_json: bool) -> int:
    unknown = sum(one.rows for one in _missing(found))
    to_do = sum(one.rows for one in found if one.known and not one.first)
    if as_json:
        output.print_json({"to": _first(found), "keys": _rows(found), "to_rewrap": to_do, "unknown": unknown})
    else:
        columns = ("key", "fingerprint", ">data keys", "here")
        rows = [(one.number, one.fingerprint, one.rows, _place(one)) for one in found]
        output.table(columns, rows, empty="")
        output.say(f"would rewrap {to_do:,} to {_first(found)}")
        _warn(found)
    return FAILED if unknown else 0


def _print_done(done: Rotation, after: Sequence[Wrapping], as_json: bool) -> None:
    if as_json:
        counts = {"rewrapped": done.rewrapped, "unknown": done.unknown}
        output.print_json({"to": _first(after), "keys": _rows(after), **counts})
        return
    output.say(f"{done.rewrapped:,} data keys rewrapped to {_first(after)}")
    _warn(after)
    behind = sum(one.rows for one in after if one.known and not one.first)
    if behind:
        todo = "restart what still encrypts with the old one, and run this again"
        output.note(f"[yellow]warning:[/] {behind:,} came under another key meanwhile: {todo}")


def _warn(found: Sequence[Wrapping]) -> None:
    for one in _missing(found):
        said = f"{one.rows:,} data keys are under key {one.number} ({one.fingerprint}), which is not here"
        output.note(f"[yellow]warning:[/] {said}: add it to MESSAGING_ENCRYPTION_KEY, after the first")


def _first(found: Sequence[Wrapping]) -> str:
    return next(one.fingerprint for one in found if one.first)


def _rows(found: Sequence[Wrapping]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = to_builtins(found)
    return rows


def _place(one: Wrapping) -> str:
    return "encrypts" if one.first else "decrypts" if one.known else "no"
