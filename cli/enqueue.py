"""`hivelog enqueue`: one job, or a file of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from msgspec import Struct
from rich.markup import escape

from ..client.backend import BulkItem
from ..client.errors import HivelogError, error_of
from . import output
from .api import Api, Target, with_api
from .app import JOBS, Data, Json, Token, Url, app
from .errors import FAILED, MISUSED, CommandError

_CALL: Final = 1000  # jobs of a file that go into one call
_CALL_BYTES: Final = 8 * 1024 * 1024


def _option(name: str, text: str, metavar: str = "N") -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


@app.command(rich_help_panel=JOBS)
def enqueue(
    queue: Annotated[str | None, typer.Argument(metavar="QUEUE", show_default=False)] = None,
    type: Annotated[str | None, typer.Argument(metavar="TYPE", show_default=False)] = None,  # noqa: A002
    payload: Annotated[
        str, typer.Argument(metavar="PAYLOAD", help="JSON, `-` for standard input, or @FILE.")
    ] = "{}",
    file: Annotated[
        Path | None,
        _option("--file", "Many jobs, one JSON object a line: queue, type, payload, metadata.", "FILE"),
    ] = None,
    priority: Annotated[int | None, _option("--priority", "Higher runs first.")] = None,
    max_retries: Annotated[int | None, _option("--max-retries", "Attempts after the first.")] = None,
    retry_delay: Annotated[int | None, _option("--retry-delay", "Seconds before the next attempt.")] = None,
    retry_backoff: Annotated[
        str | None, _option("--retry-backoff", "fixed or exponential.", "HOW")
    ] = None,
    timeout: Annotated[int | None, _option("--timeout", "Seconds an attempt may take.")] = None,
    scheduled_for: Annotated[
        str | None, _option("--scheduled-for", "Not before, such as 2030-01-31T09:00:00Z.", "TIME")
    ] = None,
    expires_at: Annotated[str | None, _option("--expires-at", "Not started after.", "TIME")] = None,
    source: Annotated[str | None, _option("--source", "Who asks for it.", "NAME")] = None,
    correlation_id: Annotated[
        str | None, _option("--correlation-id", "What it belongs to.", "ID")
    ] = None,
    tag: Annotated[list[str] | None, _option("--tag", "May be repeated.", "TAG")] = None,
    idempotency_key: Annotated[
        str | None, _option("--idempotency-key", "Repeating the call makes no second job.", "KEY")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until it has ended; exit 1 unless completed.")
    ] = False,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Put a job into a queue, or all jobs of a file.

    What is not said is as the queue has it configured.

    **Examples**

    `hivelog enqueue reports report_generation '{"user_id": "u1"}' --priority 200`

    `hivelog enqueue default send_mail @mail.json --scheduled-for 2030-01-31T09:00:00Z`

    `hivelog enqueue default send_mail '{"to": "ann"}' --wait`

    `hivelog enqueue --file jobs.ndjson`
    """
    target = Target(url, token, data)
    if file is not None:
        return _many(target, file, as_json)
    if queue is None or type is None:
        raise CommandError("which job?", "give QUEUE and TYPE, or --file FILE", status=MISUSED)
    metadata = {
        "priority": priority, "max_retries": max_retries, "retry_delay": retry_delay,
        "retry_backoff": retry_backoff, "timeout": timeout, "scheduled_for": scheduled_for,
        "expires_at": expires_at, "source": source, "correlation_id": correlation_id, "tags": tag or None,
    }  # fmt: skip
    given = {name: value for name, value in metadata.items() if value is not None}
    carried = read_payload(payload)

    async def work(api: Api) -> dict[str, Any]:
        job = await api.enqueue(queue, type, carried, given, idempotency_key)
        return await api.wait(job["id"]) if wait else job

    return _print_one(with_api(target, work), wait, as_json)


def _print_one(job: dict[str, Any], waited: bool, as_json: bool) -> int:
    if as_json:
        output.print_json(job)
    else:
        style = output.STATUS_STYLES.get(job["status"], "")
        output.say(f"{job['id']} [{style}]{job['status']}[/] in {escape(job['queue'])}")
        if job.get("error"):
            output.say(escape(str(job["error"]).strip().splitlines()[-1]))
        elif job["status"] == "completed":
            output.say(escape(output.json_text(job["result"])))
    return FAILED if waited and job["status"] != "completed" else 0


def read_payload(text: str) -> msgspec.Raw:
    """As it was given: nothing is lost by reading and writing it again."""
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        hint = "quote it for the shell: '{\"user_id\": \"u1\"}'"
        raise CommandError(f"the payload is not JSON ({error})", hint, status=MISUSED) from None
    return msgspec.Raw(text.encode())


def _many(target: Target, file: Path, as_json: bool) -> int:
    lines = file.read_bytes().splitlines() if str(file) != "-" else sys.stdin.buffer.read().splitlines()
    jobs = list(read_lines(lines))
    if not jobs:
        raise CommandError(f"{file} is empty", status=MISUSED)
    ids = with_api(target, lambda api: _post(api, jobs, as_json))
    if as_json:
        output.print_json({"ids": ids, "count": len(ids)})
    else:
        output.say(f"{len(ids):,} jobs enqueued")
    return 0


def read_lines(lines: list[bytes]) -> Iterator[tuple[int, BulkItem]]:
    """Each job with its size. Raises CommandError naming the line."""
    # The payload stays as it was written: nothing is lost by reading and writing it again.
    decoder = msgspec.json.Decoder(_Line)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            job = decoder.decode(line)
        except msgspec.MsgspecError as error:
            hint = 'a line is {"queue": ..., "type": ..., "payload": ..., "metadata": {...}}'
            raise CommandError(f"line {number}: {error}", hint, status=MISUSED) from None
        yield len(line), BulkItem(job.queue, job.type, job.payload, job.metadata, job.idempotency_key)


class _Line(Struct, forbid_unknown_fields=True):
    queue: str
    type: str
    payload: msgspec.Raw
    metadata: dict[str, Any] | None = None
    idempotency_key: str | None = None


async def _post(api: Api, jobs: list[tuple[int, BulkItem]], quiet: bool) -> list[str]:
    ids: list[str] = []
    with output.progress("Enqueueing", quiet=quiet) as report:
        for chunk in chunks(jobs):
            try:
                ids += await api.enqueue_many(chunk)
            except HivelogError as error:
                done = f"; {len(ids):,} of {len(jobs):,} jobs of the file were enqueued"
                raise error_of(error.code, error.message + done, error.detail) from error
            report(len(ids), len(jobs))
    return ids


def chunks(jobs: list[tuple[int, BulkItem]]) -> Iterator[list[BulkItem]]:
    """As many as one call takes, by number and by size."""
    chunk: list[BulkItem] = []
    size = 0
    for length, job in jobs:
        if chunk and (len(chunk) == _CALL or size + length > _CALL_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(job)
        size += length
    yield chunk
