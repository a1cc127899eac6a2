"""A report as a document: the same content as a PDF of several pages or as one HTML page.

Both are byte for byte the same for the same input, so a retried job writes the same file.
"""

import html
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import NamedTuple

from reportlab.graphics import renderSVG
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import StyleSheet1, getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    LongTable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    TableStyle,
)

from .records import Usage, by_team, totals

_HEADINGS = ("Day", "Team", "Service", "Requests", "Errors", "Latency ms")
_GRID = TableStyle(
    [
        ("FONTSIZE", (0, 0), (-1, -1), 7.5),
        ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#f2a900")),
        ("ROWBACKGROUNDS", (0, 1), (-1, -1), [colors.white, colors.HexColor("#f6f4ee")]),
        ("ALIGN", (3, 0), (-1, -1), "RIGHT"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
)


class Document(NamedTuple):
    content: bytes
    pages: int


def render_pdf(title: str, records: Sequence[Usage], charts: Sequence[Drawing]) -> Document:
    """A4 pages: summary, a page of charts when there are any, then every record."""
    target = BytesIO()
    template = SimpleDocTemplate(target, pagesize=A4, title=title, author="Hivelog demo")
    template.invariant = 1  # no time stamp, no random file id: equal input, equal bytes
    story = [*_summary(title, records), *_chart_page(charts), *_detail(records)]
    template.build(story, onFirstPage=_footer, onLaterPages=_footer)
    return Document(target.getvalue(), template.page)


def render_html(title: str, records: Sequence[Usage], charts: Sequence[Drawing]) -> Document:
    """One self-contained page; the charts are inline SVG."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{html.escape(title)}</title>",
        "<style>body{font:14px system-ui;max-width:60em;margin:2em auto}"
        "td,th{padding:2px 10px;text-align:left}th{background:#f2a900}</style>",
        f"<h1>{html.escape(title)}</h1><p>{html.escape(_sentence(records))}</p>",
        *(_svg(chart) for chart in charts),
        _html_table(("Team", "Requests", "Errors", "Failed", "Latency ms"), _team_rows(records)),
        _html_table(_HEADINGS, map(_cells, records)),
    ]
    return Document("\n".join(parts).encode(), 1)


def _summary(title: str, records: Sequence[Usage]) -> Iterator[Flowable]:
    styles: StyleSheet1 = getSampleStyleSheet()
    yield Paragraph(html.escape(title), styles["Title"])
    yield Paragraph(html.escape(_sentence(records)), styles["BodyText"])
    yield Spacer(0, 16)
    heads = ("Team", "Requests", "Errors", "Failed", "Latency ms")
    yield LongTable([heads, *_team_rows(records)], style=_GRID, repeatRows=1)


def _chart_page(charts: Sequence[Drawing]) -> Iterator[Flowable]:
    if charts:
        yield PageBreak()
    yield from charts


def _detail(records: Sequence[Usage]) -> Iterator[Flowable]:
    yield PageBreak()
    rows = [_HEADINGS, *map(_cells, records)]
    yield LongTable(rows, style=_GRID, repeatRows=1, colWidths=(70, 90, 80, 70, 60, 80))


def _footer(canvas: Canvas, template: SimpleDocTemplate) -> None:
    canvas.setFont("Helvetica", 7)
    canvas.drawRightString(A4[0] - 40, 24, f"page {template.page}")


def _sentence(records: Sequence[Usage]) -> str:
    sums = totals(records)
    return (
        f"{sums.requests:,} requests in {len(records):,} records, {sums.error_percent:.2f}% of them"
        f" failed; {sums.latency_ms:.0f} ms on average."
    )


def _team_rows(records: Sequence[Usage]) -> list[tuple[str, ...]]:
    return [
        (
            team,
            f"{sums.requests:,}",
            str(sums.errors),
            f"{sums.error_percent:.2f}%",
            f"{sums.latency_ms:.1f}",
        )
        for team, sums in by_team(records).items()
    ]


def _cells(record: Usage) -> tuple[str, ...]:
    return (
        record.day.isoformat(),
        record.team,
        record.service,
        str(record.requests),
        str(record.errors),
        f"{record.latency_ms:.1f}",
    )


def _svg(chart: Drawing) -> str:
    text = renderSVG.drawToString(chart)
    return text[text.index("<svg") :]


def _html_table(heads: Sequence[str], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{html.escape(name)}" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}" for c in row) for row in rows)
    return f"<table><tr>{head}{body}</table>"
