"""`hivelog erase`: destroy what jobs carried; the log keeps that they ran."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import output
from .api import Target, ask
from .app import JOBS, Data, Json, Token, Url, Yes, app
from .errors import MISUSED, CommandError


@app.command(rich_help_panel=JOBS)
def erase(
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="The job's id.", show_default=False)
    ] = None,
    q: Annotated[
        str | None,
        typer.Option("--q", metavar="PATH:VALUE", show_default=False,
                     help="All ended jobs whose payload has it, such as user_id:u1."),
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Of these only those of a queue.",
                                              show_default=False)] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why.", show_default=False)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Erase nothing; say how many jobs it would be.")
    ] = False,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", metavar="FILE", show_default=False,
                     help="Write the certificate of a job's erasure there."),
    ] = None,
    yes: Yes = False,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Destroy payload, result, errors, progress texts and reasons of ended jobs. There is no way back.

    The log keeps what happened when, and still verifies. docs/audit.md says what is left outside of Hivelog.

    **Examples**

    `hivelog erase 0193a5f2-7c1e-7000-8000-000000000000 --certificate erased.bundle`

    `hivelog erase --q user_id:u1 --dry-run`
    """
    target = Target(url, token, data)
    if (job is None) == (q is None):
        raise CommandError("name a job, or a filter with --q", status=MISUSED)
    if job is None:
        return _erase_many(target, {"q": q, "queue": queue}, reason, dry_run, yes, as_json)
    if not (yes or as_json or dry_run):
        typer.confirm(f"Erase what job {job} carried, for good?", abort=True)
    if not dry_run:
        done = ask(target, "DELETE", f"/job/{job}/payload")
        _print(done, f"erased, at position {done['position']:,}", as_json)
    if certificate is not None:
        _certify(target, job, certificate)
    return 0


def _erase_many(
    target: Target, filter_: dict[str, Any], reason: str | None, dry_run: bool, yes: bool, as_json: bool
) -> int:
    chosen = {name: value for name, value in filter_.items() if value is not None}
    body: dict[str, Any] = {"action": "erase", "filter": chosen, "dry_run": True}
    found = ask(target, "POST", "/jobs/actions", body)
    if dry_run or not found["matched"]:
        _print(found, f"{found['matched']:,} jobs", as_json)
        return 0
    if not (yes or as_json):
        typer.confirm(f"Erase what {found['matched']:,} jobs carried, for good?", abort=True)
    body |= {"dry_run": False, "position": found["position"]}
    done = ask(target, "POST", "/jobs/actions", body | ({} if reason is None else {"reason": reason}))
    changed = done.get("changed")
    said = f"{done['matched']:,} jobs are being erased" if changed is None else f"{changed:,} jobs erased"
    _print(done, said, as_json)
    return 0


def _certify(target: Target, job: str, file: Path) -> None:
    from .api import with_api

    text = with_api(target, lambda api: api.text(f"/job/{job}/erasure"))
    file.write_bytes(text)
    check = f"hivelog audit verify-bundle {file} --public-key KEY"
    output.note(f"certificate written: `{check}` checks it anywhere")


def _print(answer: Any, said: str, as_json: bool) -> None:
    if as_json:
        output.print_json(answer)
    else:
        output.say(said)
