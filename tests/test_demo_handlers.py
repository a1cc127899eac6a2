"""The demo's handlers, called as a worker calls them: their files, results, progress, failures."""

import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hivelog.broker import child
from hivelog.broker.context import JobContext, JobInfo
from hivelog.broker.registry import registry
from hivelog.demo import HANDLERS, background, notifications, reports
from hivelog.demo.breakage import cause, disturb
from hivelog.demo.delivery import DeliveryRefusedError
from hivelog.demo.environment import NOBODY
from hivelog.demo.export import ExportCancelledError
from hivelog.demo.files import UnsafePathError, write_atomically
from hivelog.demo.sinks import sinks
from pypdf import PdfReader

from .test_worker import new_fork_server


@dataclass
class Context:
    """The part of a JobContext that these handlers use; can ask for cancellation at a percent."""

    job: Any = field(default_factory=lambda: SimpleNamespace(id="0190-job"))
    attempt: int = 1
    cancel_at: float = 101.0
    cancelled: bool = False
    steps: list[float] = field(default_factory=list)

    async def progress(self, percent: float, message: str = "") -> None:
        self.steps.append(percent)
        self.cancelled = percent >= self.cancel_at


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEMO_DATA", str(tmp_path))
    return tmp_path


def request(kind: type[Any], payload: dict[str, Any]) -> Any:
    return msgspec.convert(payload, kind)


async def test_report_writes_the_pdf_it_describes(root: Path) -> None:
    ctx: Any = Context()
    payload = request(
        reports.ReportRequest,
        {
            "user_id": "user-uuid",
            "template_id": "usage",
            "parameters": {"format": "pdf", "include_charts": True, "records": 150},
        },
    )
    result = await reports.generate_report(ctx, payload)
    path = root / result["file"]
    assert path.stat().st_size == result["bytes"]
    assert len(PdfReader(path).pages) == result["pages"] > 3
    assert result["records"] == 150
    assert ctx.steps == sorted(ctx.steps)
    assert len(ctx.steps) >= 4
    assert await reports.generate_report(ctx, payload) == result
    assert os.listdir(root / "reports") == [path.name]


async def test_report_runs_in_a_child_and_leaves_the_event_loop_free(root: Path) -> None:
    new_fork_server(*HANDLERS)  # its children write where this test looks
    gaps: list[float] = []

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    steps: list[int] = []
    job = JobInfo("0190-child", "reports", "report_generation", 200, 2, 0)
    ctx = JobContext(lambda _: job, 1, 7, {}, lambda _, step: steps.append(step.percent))
    body = msgspec.json.encode({"user_id": "u", "parameters": {"records": 1500}})
    watcher = asyncio.create_task(watch())
    start = time.monotonic()
    answer = await child.run(
        registry.handlers["report_generation"], ctx, body, result_limit=1_000_000, memory_mib=None
    )
    took = time.monotonic() - start
    watcher.cancel()
    result = msgspec.json.decode(answer)
    assert len(PdfReader(root / result["file"]).pages) == result["pages"] > 20
    assert steps == sorted(steps)
    assert len(steps) == 4
    assert max(gaps) < took / 2


async def test_html_report_without_charts(root: Path) -> None:
    ctx: Any = Context()
    parameters = {"format": "html", "include_charts": False, "records": 20}
    payload = request(reports.ReportRequest, {"user_id": "u1", "parameters": parameters})
    result = await reports.generate_report(ctx, payload)
    assert (root / result["file"]).read_text().count("<svg") == 0
    assert result["pages"] == 1


@pytest.mark.parametrize(
    "parameters", [{"format": "docx"}, {"records": 0}, {"records": "many"}, {"unheard_of": 1}]
)
def test_report_requests_are_validated(parameters: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        request(reports.ReportRequest, {"user_id": "u1", "parameters": parameters})


def test_usage_summary_adds_up() -> None:
    ctx: Any = Context()
    payload = reports.UsageRequest("u7", 400)
    result = reports.summarise_usage(ctx, payload)
    assert sum(result["services"].values()) == result["requests"] > 0
    assert result == reports.summarise_usage(ctx, payload)


async def test_notifications_reach_their_sinks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx: Any = Context()
    async with sinks(refusal_rate=0.0) as running:
        for name, value in running.variables(root).items():
            monkeypatch.setenv(name, value)
        mail = request(notifications.EmailNotification, {"to": "a@demo.example", "subject": "Hé"})
        assert (await asyncio.to_thread(notifications.send_email, ctx, mail))["bytes"] > 50
        call = request(notifications.WebhookNotification, {"endpoint": "billing", "event": "order.paid"})
        assert (await asyncio.to_thread(notifications.call_webhook, ctx, call))["status"] == 202
        refused = request(notifications.EmailNotification, {"to": NOBODY, "subject": "x"})
        with pytest.raises(DeliveryRefusedError):
            await asyncio.to_thread(notifications.send_email, ctx, refused)
        assert [d.id for d in running.mails.accepted] == ["0190-job"]
        assert [d.id for d in running.calls.accepted] == ["0190-job"]


@pytest.mark.parametrize(
    "payload",
    [
        {"to": "no-address", "subject": "x"},
        {"to": "a@b", "subject": "x\r\nBcc: everyone@demo.example"},
        {"to": "a@b\nBcc:c@d", "subject": "x"},
    ],
)
def test_mail_headers_cannot_be_injected(payload: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        request(notifications.EmailNotification, payload)


async def test_cleanup_deletes_old_files_of_its_folder_only(root: Path) -> None:
    ctx: Any = Context()
    for name, age in (("scratch/old", 9000), ("scratch/new", 5), ("reports/old", 9000)):
        write_atomically(root / name, b"abc")
        os.utime(root / name, (time.time() - age, time.time() - age))
    result = await background.clean_up(ctx, background.CleanupRequest())
    assert result == {"files": 1, "bytes": 3}
    assert sorted(p.name for p in root.rglob("*") if p.is_file()) == ["new", "old"]
    with pytest.raises(UnsafePathError):
        await background.clean_up(ctx, background.CleanupRequest("../", 0))


async def test_index_covers_every_document(root: Path) -> None:
    ctx: Any = Context()
    result = await background.index_documents(ctx, background.IndexRequest("tickets", 12))
    index = json.loads((root / result["file"]).read_text())
    assert len(index) == result["words"] > 20
    named = {name for names in index.values() for name in names}
    assert named == {f"documents/tickets/{n:04}.txt" for n in range(12)}
    assert ctx.steps[-1] == 95
    with pytest.raises(msgspec.ValidationError):
        request(background.IndexRequest, {"collection": "../x"})


def test_checksum_changes_with_content_and_name(root: Path) -> None:
    ctx: Any = Context()
    payload = background.ChecksumRequest("reports")
    seen = []
    for name, content in (("a", b"1"), ("a", b"2"), ("b", b"2")):
        write_atomically(root / "reports" / name, content)
        os.utime(root / "reports" / name, (1, 1))
        seen.append(background.checksum(ctx, payload)["sha256"])
    assert len(set(seen)) == 3
    assert background.checksum(ctx, payload) == {"sha256": seen[-1], "files": 2, "bytes": 2}


async def test_export_is_complete_or_absent(root: Path) -> None:
    ctx: Any = Context()
    result = await background.slow_export(ctx, background.ExportRequest(100, 0.5))
    path = root / result["file"]
    assert len(path.read_text().splitlines()) == 101
    assert path.stat().st_size == result["bytes"]
    assert ctx.steps == [50, 100]
    path.unlink()
    stopped: Any = Context(cancel_at=50)
    with pytest.raises(ExportCancelledError):
        await background.slow_export(stopped, background.ExportRequest(100, 0.5))
    assert os.listdir(root / "exports") == []


def _failure(seed: int, attempt: int) -> str:
    try:
        disturb(seed, attempt)
    except Exception as error:
        return type(error).__name__
    return ""


def test_flaky_fails_mostly_at_first_in_several_ways_and_never_for_good() -> None:
    first = Counter(_failure(seed, 1) for seed in range(300))
    assert 0.1 < first[""] / 300 < 0.3
    assert set(first) >= {"ConnectionRefusedError", "JSONDecodeError", "UnicodeDecodeError"}
    assert set(first) >= {"UpstreamError", "KeyError", "TimeoutError"}
    assert sum(_failure(seed, 2) != "" for seed in range(300)) < 150
    assert not any(_failure(seed, 4) for seed in range(300))


def test_a_flaky_job_keeps_its_kind_of_error() -> None:
    for seed in range(60):
        kinds = {_failure(seed, attempt) for attempt in (1, 2, 3)} - {""}
        assert len(kinds) <= 1, cause(seed)


async def test_chat_summary_quotes_the_chat() -> None:
    ctx: Any = Context()
    result = await background.chat_summary(ctx, background.ChatRequest("s1"))
    assert result["messages"] == 40
    assert len(result["summary"]) == 3


def test_the_published_names_are_the_handler_modules() -> None:
    modules = (reports, notifications, background)
    assert tuple(module.__name__ for module in modules) == HANDLERS
