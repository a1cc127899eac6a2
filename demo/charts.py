"""The charts of a report, as drawings that the PDF embeds and the HTML page shows as SVG."""

from collections.abc import Sequence

from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.charts.legends import Legend
from reportlab.graphics.charts.linecharts import HorizontalLineChart
from reportlab.graphics.charts.piecharts import Pie
from reportlab.graphics.shapes import Drawing, String
from reportlab.lib.colors import Color, HexColor

from .records import SERVICES, Usage, by_service, by_team, requests_by_day

WIDTH, HEIGHT = 480, 210
_COLORS = [HexColor(code) for code in ("#f2a900", "#31708e", "#8fc1a9", "#b0413e", "#6d5a72")]
_INK = HexColor("#333333")


def all_charts(records: Sequence[Usage]) -> list[Drawing]:
    """Three drawings: requests a day, errors by team, share of each service."""
    return [requests_chart(records), errors_chart(records), share_chart(records)]


def requests_chart(records: Sequence[Usage]) -> Drawing:
    """Requests a day, one line a service."""
    series = [requests_by_day(records, service) for service in SERVICES]
    chart = HorizontalLineChart()
    chart.data = [[float(count) for _, count in days] for days in series]
    names = [day.strftime("%d %b") if n % 10 == 0 else "" for n, (day, _) in enumerate(series[0])]
    chart.categoryAxis.categoryNames = names
    chart.categoryAxis.visibleTicks = False
    for index in range(len(series)):
        chart.lines[index].strokeColor = _COLORS[index]
        chart.lines[index].strokeWidth = 1.4
    return _framed("Requests a day", chart, SERVICES)


def errors_chart(records: Sequence[Usage]) -> Drawing:
    """Failed requests in percent, one bar a team, busiest team first."""
    teams = by_team(records)
    chart = VerticalBarChart()
    chart.data = [[sums.error_percent for sums in teams.values()]]
    chart.categoryAxis.categoryNames = list(teams)
    chart.valueAxis.labelTextFormat = "%.1f%%"
    chart.bars[0].fillColor = _COLORS[3]
    chart.bars[0].strokeColor = None
    return _framed("Failed requests by team", chart, ())


def share_chart(records: Sequence[Usage]) -> Drawing:
    """Each service's part of all requests."""
    services = by_service(records)
    pie = Pie()
    pie.x, pie.y, pie.width, pie.height = 165, 25, 150, 150
    pie.data = [sums.requests for sums in services.values()]
    pie.labels = list(services)
    pie.slices.strokeColor = HexColor("#ffffff")
    for index in range(len(services)):
        pie.slices[index].fillColor = _COLORS[index]
    drawing = _titled("Share of requests")
    drawing.add(pie)
    return drawing


def _framed(title: str, chart: HorizontalLineChart | VerticalBarChart, names: Sequence[str]) -> Drawing:
    chart.x, chart.y, chart.width, chart.height = 50, 30, WIDTH - 70, HEIGHT - 75
    chart.valueAxis.valueMin = 0
    chart.valueAxis.labels.fontSize = chart.categoryAxis.labels.fontSize = 7
    drawing = _titled(title)
    drawing.add(chart)
    if names:
        drawing.add(_legend(names))
    return drawing


def _titled(title: str) -> Drawing:
    drawing = Drawing(WIDTH, HEIGHT)
    drawing.add(String(10, HEIGHT - 16, title, fontName="Helvetica-Bold", fontSize=11))
    return drawing


def _legend(names: Sequence[str]) -> Legend:
    legend = Legend()
    legend.x, legend.y, legend.boxAnchor = WIDTH - 230, HEIGHT - 8, "nw"
    legend.fontSize, legend.dx, legend.dy = 8, 7, 7
    legend.columnMaximum, legend.deltax, legend.alignment = 1, 70, "right"
    pairs: list[tuple[Color, str]] = list(zip(_COLORS, names, strict=False))
    legend.colorNamePairs = pairs
    legend.fillColor = _INK
    return legend
