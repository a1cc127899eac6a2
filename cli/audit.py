"""`hivelog audit`: whether the log is what was sealed, and proofs of it for others."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from ..events import anchors, ids, signfile, signing
from ..events.anchors import Anchor
from ..events.findings import Report
from ..events.pool import Pool, make_pool
from ..settings import Settings
from . import output
from .api import Target, database
from .app import LOG, Data, Json, app
from .errors import FAILED, MISUSED, CommandError

audit = typer.Typer(no_args_is_help=True)
app.add_typer(audit, name="audit", rich_help_panel=LOG)

_LANES: Final = 2

PublicKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--public-key", metavar="KEY", show_default=False,
        help="Trust seals of this key, as `hivelog key public` printed it. More than one may be given. "
        "Unless given: the signing key of this machine.",
    ),
]  # fmt: skip
AnchorFile = Annotated[
    Path | None,
    typer.Option(
        "--anchors", metavar="FILE", show_default=False,
        help="The file with the anchors; HIVELOG_ANCHOR_FILE unless given.",
    ),
]  # fmt: skip


@audit.callback()
def auditing() -> None:
    """Prove that the log was not altered, to yourself and to others.

    docs/audit.md says what a seal proves and what it does not.

    **Example**

    `hivelog audit verify`
    """


@audit.command()
def verify(
    first: Annotated[int, typer.Option("--from", min=1, help="The first position.")] = 1,
    last: Annotated[int | None, typer.Option("--to", min=1, help="The last.", show_default=False)] = None,
    public_key: PublicKeys = None,
    anchor_file: AnchorFile = None,
    accept_epoch: Annotated[
        list[int] | None,
        typer.Option("--accept-epoch", metavar="N", show_default=False,
                     help="You know of the restore that began this epoch, and of what it lost."),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Read the log again and hold every event against its seal.

    Exit 1 when anything was altered, or when a restore lost events that you have not accepted.

    **Examples**

    `hivelog audit verify`

    `hivelog audit verify --public-key "$(cat public.key)" --anchors /mnt/worm/anchors.ndjson`
    """
    import uvloop

    with database(Target(None, None, data)) as settings:
        trusted = _trusted(settings, public_key)
        known = _anchors(anchor_file or settings.anchor_file)
        report = uvloop.run(_verify(settings, trusted, known, first, last, as_json))
    accepted = {rewind.epoch + 1 for rewind in report.rewinds} <= set(accept_epoch or ())
    if as_json:
        output.print_json({"verdict": report.verdict, **msgspec.to_builtins(report)})
    else:
        _print(report)
    return 0 if not report.found and accepted else FAILED


async def _verify(
    settings: Settings, trusted: frozenset[bytes], known: list[Anchor], first: int, last: int | None, quiet:
    bool
) -> Report:
    from ..events.verify import Verifier

    pool = await _pool(settings, _LANES + 1)
    try:
        with output.progress("Verifying", quiet=quiet) as report:
            verifier = Verifier(pool, trusted, known, lanes=_LANES, progress=report)
            return await verifier.verify(first, last)
    finally:
        await pool.close()


async def _pool(settings: Settings, size: int) -> Pool:
    assert settings.database_url is not None
    pool = make_pool(settings.database_url, name="hivelog audit", size=size)
    await pool.open()
    return pool


def _trusted(settings: Settings, given: list[str] | None) -> frozenset[bytes]:
    """Never from the database: whoever altered it would have put his own there."""
    if given:
        return frozenset(_key(text) for text in given)
    ring = signfile.ring_here(settings.signing_keys, settings.data)
    if ring is None:
        hint = f"name the public key with --public-key, or bring {signfile.key_path(settings.data)} here"
        raise CommandError("no signing key is here to tell whose seals to trust", hint, status=MISUSED)
    return ring.public


def _key(text: str) -> bytes:
    try:
        return signing.from_text(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no public key", str(error), status=MISUSED) from None


def _anchors(path: Path | None) -> list[Anchor]:
    if path is None:
        return []
    try:
        return anchors.read(path)
    except (OSError, ValueError) as error:
        raise CommandError(f"the anchors in {path} cannot be read", str(error)) from None


def _print(report: Report) -> None:
    columns = ("found", ">from", ">to", "what")
    rows = [(found.kind, found.first, found.last, found.detail) for found in report.findings]
    if rows:
        output.table(columns, rows, empty="")
    if report.found > len(rows):
        output.say(f"and {report.found - len(rows):,} more")
    for rewind in report.rewinds:
        known = f"--accept-epoch {rewind.epoch + 1} if you know of it"
        output.say(f"[yellow]restored:[/] {rewind.detail}; {known}")
    style = "[green]intact[/]" if report.verdict == "intact" else f"[red]{report.verdict}[/]"
    output.say(
        f"{style}: {report.events:,} events under {report.seals:,} seals, positions {report.first:,} to "
        f"{report.last:,}; {report.unsealed:,} at the end are not sealed yet"
    )
    if report.gap is not None:
        vouched = "as the log vouches" if report.gap.vouched else "vouched for as soon as retention has ended"
        output.say(
            f"retention took the events up to {report.gap.edge:,}; their seals are one chain, "
            f"{report.gap.carried:,} of them were carried and are here, {vouched}"
        )
    output.say(report.tail.note)


@audit.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - for standard output.")],
    job: Annotated[str | None, typer.Option("--job", metavar="JOB", show_default=False,
                                            help="The events of this job.")] = None,
    first: Annotated[int, typer.Option("--from", min=1, help="The first position.")] = 1,
    last: Annotated[int | None, typer.Option("--to", min=1, help="The last.", show_default=False)] = None,
    data: Data = None,
) -> int:  # fmt: skip
    """Write events with their proof, to be checked anywhere by `hivelog audit verify-bundle`.

    Payloads, results and texts are not in it: they are beside the log, and may be erased.

    **Examples**

    `hivelog audit export incident.bundle --from 120000 --to 125000`

    `hivelog audit export job.bundle --job 0193a5f2-7c1e-7000-8000-000000000000`
    """
    import uvloop

    from ..events import bundle

    chosen = None if job is None else _job(job)

    async def write(settings: Settings) -> int:
        pool = await _pool(settings, 2)
        try:
            lines = (
                bundle.write_range(pool, first, last or await _sealed_to(pool)) if chosen is None
                else bundle.write_job(pool, chosen)
            )  # fmt: skip
            return await _write(file, lines)
        except ValueError as error:
            raise CommandError("the events cannot be proved", str(error)) from None
        finally:
            await pool.close()

    with database(Target(None, None, data)) as settings:
        events = uvloop.run(write(settings))
    if not events:
        hint = "a seal comes within a second; `hivelog audit seals` lists them"
        raise CommandError("nothing there is sealed", hint)
    output.note(f"{events:,} events written")
    return 0


def _job(text: str) -> bytes:
    try:
        return ids.from_text(text)
    except ValueError:
        raise CommandError(f"{text!r} is no job's id", status=MISUSED) from None


async def _sealed_to(pool: Pool) -> int:
    from ..events import seals

    async with pool.connection() as connection:
        standing = await seals.standing(connection, [])
    return 0 if standing.last is None else standing.last.position


async def _write(file: Path, lines: AsyncIterator[bytes]) -> int:
    events = 0
    to = sys.stdout.buffer if str(file) == "-" else file.open("wb")
    try:
        async for line in lines:
            events += line.startswith(b'{"event"')
            to.write(line)
    finally:
        if to is not sys.stdout.buffer:
            to.close()
    return events


@audit.command("verify-bundle")
def verify_bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, a proof or a certificate.")],
    public_key: Annotated[list[str], typer.Option("--public-key", metavar="KEY", show_default=False,
                                                  help="Whose seals to trust. May be given more than once.")],
    as_json: Json = False,
) -> int:  # fmt: skip
    """Check a bundle or a certificate of erasure, without any database: the public key is enough.

    Get the key another way than the bundle: whoever forged one would have sent his own key along.

    **Example**

    `hivelog audit verify-bundle incident.bundle --public-key "$(cat public.key)"`
    """
    from ..events import bundle

    pinned = frozenset(_key(text) for text in public_key)
    try:
        with file.open("rb") as lines:
            checked = bundle.check(lines, pinned)
    except OSError as error:
        raise CommandError(f"{file} cannot be read", error.strerror or "") from None
    except ValueError as error:
        raise CommandError(f"{file} is no bundle", str(error)) from None
    good = not checked.found and checked.events > 0
    if as_json:
        output.print_json({"valid": good, **msgspec.to_builtins(checked)})
    else:
        _print_checked(checked, good)
    return 0 if good else FAILED


def _print_checked(checked: Any, good: bool) -> None:
    for problem in checked.problems:
        output.say(f"[red]wrong:[/] {problem}")
    said = "[green]proved[/]" if good else "[red]not proved[/]"
    span = "" if checked.first is None else f", positions {checked.first:,} to {checked.last:,}"
    hole = "without a hole" if checked.whole else "with others between, which are not in the bundle"
    output.say(f"{said}: {checked.events:,} events under {checked.seals:,} seals{span}, {hole}")


@audit.command()
def proof(
    position: Annotated[int, typer.Argument(metavar="POSITION", min=1, help="The event's position.")],
    data: Data = None,
) -> int:
    """Print the proof of one event: the event, its seal, and the path from one to the other.

    **Example**

    `hivelog audit proof 120001 > event.bundle`
    """
    return export(Path("-"), None, position, position, data)


@audit.command()
def seals(
    after: Annotated[int, typer.Option("--after", min=0, help="Those that end after this position.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """List the seals, oldest first.

    **Example**

    `hivelog audit seals --after 120000`
    """
    import uvloop

    with database(Target(None, None, data)) as settings:
        found = uvloop.run(_seals(settings, after, limit))
    if as_json:
        output.print_json({"seals": found})
        return 0
    columns = (">from", ">to", ">epoch", "sealed at", "key", "hash")
    fields = ("first", "position", "epoch", "sealed_at", "key", "hash")
    rows = [tuple(seal[field] for field in fields) for seal in found]
    output.table(columns, rows, empty="Nothing is sealed yet.")
    return 0


async def _seals(settings: Settings, after: int, limit: int) -> list[dict[str, Any]]:
    from ..events import seals as chain
    from ..events import times

    pool = await _pool(settings, 1)
    try:
        async with pool.connection() as connection:
            found = await chain.page(connection, after + 1, limit, await signing.known_keys(connection))
    finally:
        await pool.close()
    return [
        {
            "first": seal.first, "position": seal.position, "epoch": seal.epoch,
            "sealed_at": times.to_text(seal.sealed_at // 1000), "key": signing.fingerprint(seal.public),
            "hash": seal.hash.hex(),
        }
        for seal in found
    ]  # fmt: skip
