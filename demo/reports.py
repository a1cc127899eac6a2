"""Handlers of the queue ``reports``: documents and summaries of generated usage records."""

import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from .. import JobContext, handler
from .charts import all_charts
from .documents import Document, render_html, render_pdf
from .environment import data_dir
from .files import below, write_atomically
from .records import Usage, by_service, generate, totals


class ReportParameters(msgspec.Struct, forbid_unknown_fields=True):
    """How the report is to look; `records` is the number of rows in its last part."""

    format: Literal["pdf", "html"] = "pdf"
    include_charts: bool = True
    records: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 2_000


class ReportRequest(msgspec.Struct):
    """The payload of `report_generation`."""

    user_id: str
    template_id: str = "usage"
    parameters: ReportParameters = msgspec.field(default_factory=ReportParameters)


class UsageRequest(msgspec.Struct):
    """The payload of `usage_summary`."""

    user_id: str
    records: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 5_000


@handler("report_generation", queue="reports", timeout=1800, isolation="process")
async def generate_report(ctx: JobContext, payload: ReportRequest) -> dict[str, Any]:
    """Render a user's report into a file; answers its name, pages, records and bytes.

    Rendering is pure Python for seconds: in a process of its own it slows no other job down, and
    can be killed when the report is cancelled.
    The file is named after the job: a second attempt replaces what a first one may have left.
    """
    wanted = payload.parameters
    await ctx.progress(5, "collecting records")
    records = generate(seed_of(payload), wanted.records)
    await ctx.progress(25, "drawing charts")
    charts = all_charts(records) if wanted.include_charts else []
    await ctx.progress(40, f"rendering {wanted.format}")
    document = _render(payload, records, charts)
    await ctx.progress(95, "writing the file")
    name = f"reports/{ctx.job.id}.{wanted.format}"
    size = write_atomically(below(data_dir(), name), document.content)
    return {"file": name, "pages": document.pages, "records": len(records), "bytes": size}


@handler("usage_summary", queue="reports", timeout=120)
def summarise_usage(ctx: JobContext, payload: UsageRequest) -> dict[str, Any]:
    """A user's requests and failures for each service; a plain function, run in a thread."""
    records = generate(zlib.crc32(payload.user_id.encode()), payload.records)
    sums = totals(records)
    services = {name: found.requests for name, found in by_service(records).items()}
    failed = round(sums.error_percent, 3)
    return {"requests": sums.requests, "failed_percent": failed, "services": services}


def seed_of(payload: ReportRequest) -> int:
    """The same user and template always give the same records."""
    return zlib.crc32(f"{payload.user_id}/{payload.template_id}".encode())


def _render(payload: ReportRequest, records: Sequence[Usage], charts: Sequence[Any]) -> Document:
    render = render_pdf if payload.parameters.format == "pdf" else render_html
    return render(f"{payload.template_id.capitalize()} of {payload.user_id}", records, charts)
