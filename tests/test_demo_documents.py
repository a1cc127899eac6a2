"""The demo's reports: records and documents follow from their seed and are what they claim."""

import io
from xml.etree import ElementTree

import pytest
from hivelog.demo.charts import all_charts
from hivelog.demo.documents import render_html, render_pdf
from hivelog.demo.records import (
    DAYS,
    SERVICES,
    by_service,
    by_team,
    generate,
    requests_by_day,
    totals,
)
from pypdf import PdfReader


def test_records_follow_from_the_seed() -> None:
    assert generate(7, 300) == generate(7, 300)
    assert generate(7, 300) != generate(8, 300)
    assert [r.day for r in generate(7, 300)] == sorted(r.day for r in generate(7, 300))


def test_groups_add_up_to_the_total() -> None:
    records = generate(3, 500)
    whole = totals(records)
    for groups in (by_team(records), by_service(records)):
        assert sum(g.requests for g in groups.values()) == whole.requests
        assert sum(g.errors for g in groups.values()) == whole.errors
    days = [requests_by_day(records, service) for service in SERVICES]
    assert all(len(series) == DAYS for series in days)
    assert sum(count for series in days for _, count in series) == whole.requests


def test_totals_of_nothing_do_not_divide_by_zero() -> None:
    assert totals([]).error_percent == 0.0
    assert by_team([]) == {}


def test_pdf_has_the_pages_it_reports_and_every_record() -> None:
    records = generate(11, 200)
    document = render_pdf("Usage of <u1>", records, all_charts(records))
    reader = PdfReader(io.BytesIO(document.content))
    assert len(reader.pages) == document.pages >= 5
    text = [page.extract_text() for page in reader.pages]
    assert "Usage of <u1>" in text[0]
    assert "Requests a day" in text[1]
    assert f"{totals(records).requests:,} requests" in text[0]
    rows = sum(page.count(str(r.latency_ms)) > 0 for r in records[-1:] for page in text[2:])
    assert rows >= 1
    assert sum(page.count("2024-") for page in text[2:]) == len(records)


def test_pdf_without_charts_is_shorter() -> None:
    records = generate(11, 50)
    charted = render_pdf("x", records, all_charts(records))
    plain = render_pdf("x", records, [])
    assert charted.pages == plain.pages + 1


def test_equal_input_gives_equal_bytes() -> None:
    records = generate(5, 100)
    first = render_pdf("x", records, all_charts(records))
    assert render_pdf("x", generate(5, 100), all_charts(records)) == first


@pytest.mark.parametrize("charts", [True, False])
def test_html_shows_charts_as_svg_and_escapes_the_title(charts: bool) -> None:
    records = generate(2, 40)
    drawings = all_charts(records) if charts else []
    page = render_html("<script>alert(1)</script>", records, drawings).content.decode()
    assert "<script>" not in page
    assert page.count("<svg") == len(drawings)
    assert page.count("<td>2024-") == len(records)
    if charts:
        first = page[page.index("<svg") : page.index("</svg>") + 6]
        assert ElementTree.fromstring(first).tag.endswith("svg")
