"""`hivelog jobs`, `job`, `cancel`, `retry`, `failures`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from . import output
from .api import Target, ask
from .app import JOBS, At, Data, JobId, Json, Token, Url, app


def _filter(name: str, text: str, metavar: str = "TEXT") -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


Reason = Annotated[str | None, _filter("--reason", "Why; it is kept in the job's history.")]


@app.command(rich_help_panel=JOBS)
def jobs(
    queue: Annotated[
        str | None, typer.Argument(metavar="QUEUE", help="Only of this queue.", show_default=False)
    ] = None,
    status: Annotated[str, _filter("--status", "all, or some: pending,queued,failed ...")] = "all",
    type: Annotated[str | None, _filter("--type", "A job type.")] = None,  # noqa: A002
    since: Annotated[str | None, _filter("--since", "Created at or after.", "TIME")] = None,
    until: Annotated[str | None, _filter("--until", "Created before.", "TIME")] = None,
    tag: Annotated[str | None, _filter("--tag", "A tag.")] = None,
    source: Annotated[str | None, _filter("--source", "Who enqueued it.")] = None,
    correlation_id: Annotated[str | None, _filter("--correlation-id", "What it belongs to.")] = None,
    worker: Annotated[str | None, _filter("--worker", "A worker's name or session.")] = None,
    q: Annotated[str | None, _filter("--q", "Payload fields (user.id:u1) and words.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many.")] = 20,
    after: Annotated[str | None, _filter("--after", "`next` of the list before.", "NEXT")] = None,
    at: At = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """List jobs, newest first.

    **Examples**

    `hivelog jobs`

    `hivelog jobs reports --status failed,expired --since 2030-01-31T00:00:00Z`

    `hivelog jobs --tag nightly --json`

    `hivelog jobs --q "user_id:u1 timeout"`

    `hivelog jobs reports --status queued --at 2030-01-31T14:03:00Z`
    """
    answer = ask(
        Target(url, token, data), "GET", "/jobs" if queue is None else f"/queue/{queue}/jobs",
        status=status, type=type, since=since, until=until, tag=tag, source=source,
        correlation_id=correlation_id, worker=worker, q=q, limit=limit, after=after, at=at,
    )  # fmt: skip
    if as_json:
        output.print_json(answer)
        return 0
    columns = ("=job", "queue", "type", "status", ">attempt", "created", "worker", "error")
    output.table(columns, (_row(job) for job in answer["jobs"]), empty="No such jobs.")
    if answer.get("next"):
        output.note(f"[dim]more: --after {escape(answer['next'])}[/]")
    return 0


def _row(job: dict[str, Any]) -> tuple[Any, ...]:
    status = job["status"]
    if status == "processing":
        status = "cancelling" if job.get("cancelling") else status
    lines = str(job.get("error") or "").strip().splitlines()
    error = lines[-1][:60] if lines else None
    created = output.clock(job["metadata"]["created_at"])
    return (
        job["id"], job["queue"], job["type"], status, job.get("attempt"), created, job["worker_id"], error
    )  # fmt: skip


@app.command(rich_help_panel=JOBS)
def job(
    job: JobId,
    history: Annotated[bool, typer.Option("--history", help="With every event.")] = False,
    why: Annotated[bool, typer.Option("--why", help="Why it does not run, or what it is at.")] = False,
    at: At = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Show a job: its payload, state and result, with --history all that ever happened to it.

    **Examples**

    `hivelog job 0190163d-8694-739b-aea5-966c26f8ad91 --history`

    `hivelog job 0190163d-8694-739b-aea5-966c26f8ad91 --why`

    `hivelog job 0190163d-8694-739b-aea5-966c26f8ad91 --json`
    """
    if why:
        return _why(ask(Target(url, token, data), "GET", f"/job/{job}/why"), as_json)
    path = f"/job/{job}" + ("/history" if history else "")
    answer = ask(Target(url, token, data), "GET", path, at=at)
    if as_json:
        output.print_json(answer)
        return 0
    _print_job(answer["job"])
    if history:
        rows = (_event(event) for event in answer["events"])
        output.table((">position", "time", "event", ">attempt", "by", "data"), rows, empty="Nothing.")
    return 0


def _why(answer: dict[str, Any], as_json: bool) -> int:
    if as_json:
        output.print_json(answer)
        return 0
    output.say(f"[bold]{answer['status']}[/]")
    for finding in answer["findings"]:
        style = "yellow" if finding["blocks"] else "dim"
        output.say(f"  [{style}]{finding['code']:<18}[/] {escape(finding['text'])}")
    return 0


def _print_job(job: dict[str, Any]) -> None:
    style = output.STATUS_STYLES.get(job["status"], "")
    output.say(f"[bold]{escape(job['type'])}[/] in {escape(job['queue'])}: "
               f"[{style}]{job['status']}[/]")  # fmt: skip
    metadata = job["metadata"]
    lines = {
        "id": job["id"],
        "created": metadata["created_at"],
        "scheduled for": metadata["scheduled_for"],
        "started": job["started_at"],
        "ended": job.get("ended_at"),
        "worker": job["worker_id"],
        "priority": metadata["priority"],
        "retries": f"{metadata['current_retry']} of {metadata['max_retries']}",
        "progress": _progress(job),
        "place in queue": job.get("queue_position"),
        "tags": ", ".join(metadata["tags"]) or None,
        "source": metadata["source"],
        "correlation": metadata["correlation_id"],
        "payload": output.json_text(job["payload"]),
        "result": None if job["result"] is None else output.json_text(job["result"]),
        "error": job["error"],
    }
    for name, value in lines.items():
        if value is not None:
            output.say(f"  [dim]{name:<14}[/] {escape(str(value).strip())}")


def _progress(job: dict[str, Any]) -> str | None:
    if job["progress"] is None:
        return None
    return f"{job['progress']:g} % {job.get('progress_message') or ''}"


def _event(event: dict[str, Any]) -> tuple[Any, ...]:
    told = {name: event[name] for name in ("error", "message", "reason") if event.get(name)}
    data = output.json_text({**event["data"], **told}) if event["data"] or told else None
    return (
        event["position"], output.clock(event["recorded_at"]), event["type"], event.get("attempt"),
        event["actor"], None if data is None else data[:160],
    )  # fmt: skip


@app.command(rich_help_panel=JOBS)
def cancel(
    job: JobId,
    reason: Reason = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Cancel a job: one that waits ends at once, one that runs is asked to stop.

    **Example**

    `hivelog cancel 0190163d-8694-739b-aea5-966c26f8ad91 --reason "wrong customer"`
    """
    body = {} if reason is None else {"reason": reason}
    return _done(ask(Target(url, token, data), "POST", f"/job/{job}/cancel", body), as_json)


@app.command(rich_help_panel=JOBS)
def retry(
    job: JobId,
    payload: Annotated[
        str | None, _filter("--payload", "Another payload: JSON, `-` or @FILE.", "JSON")
    ] = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """Run a failed, expired or cancelled job again, under the same id.

    **Example**

    `hivelog retry 0190163d-8694-739b-aea5-966c26f8ad91`
    """
    from .enqueue import read_payload

    body = {} if payload is None else {"payload": read_payload(payload)}
    return _done(ask(Target(url, token, data), "POST", f"/job/{job}/retry", body), as_json)


def _done(answer: dict[str, Any], as_json: bool) -> int:
    if as_json:
        output.print_json(answer)
    else:
        output.say(f"{escape(answer['message'])} ({answer['status']})")
    return 0


@app.command(rich_help_panel=JOBS)
def failures(
    since: Annotated[str | None, _filter("--since", "Seen at or after.", "TIME")] = None,
    queue: Annotated[str | None, _filter("--queue", "Only of this queue.", "QUEUE")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="At most so many.")] = 20,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    as_json: Json = False,
) -> int:
    """What goes wrong, grouped by what failed attempts have in common, the latest first.

    **Examples**

    `hivelog failures`

    `hivelog failures --queue reports --since 2030-01-31T00:00:00Z`
    """
    answer = ask(Target(url, token, data), "GET", "/failures", since=since, queue=queue, limit=limit)
    if as_json:
        output.print_json(answer)
        return 0
    columns = (">count", "type", "error", "queues", "last seen", "=a job to look at")
    rows = (
        (f["count"], f["type"], f["error"][:100], ", ".join(f["queues"]), output.clock(f["last_seen"]),
         f["sample_job"])
        for f in answer["failures"]
    )  # fmt: skip
    output.table(columns, rows, empty="No failures.")
    return 0
