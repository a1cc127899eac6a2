"""The printed table and bench.json."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .contenders import Graphile, PgQueuer
from .figures import Row
from .server import DURABLE, Server

_PACKAGES = ("hivelog", "psycopg", "redis", "uvloop", "uvicorn", "starlette", "msgspec")


def versions(server: Server) -> str:
    """One paragraph: what was measured on what."""
    found = [f"PostgreSQL {server.setting('server_version')}"]
    found += [f"Python {platform.python_version()}", PgQueuer.version()]
    if Graphile.missing() is None:
        found.append(Graphile.version())
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    durable = ", ".join(f"{name} {value}" for name, value in DURABLE.items())
    return f"{', '.join(found)}; {os.cpu_count()} cores, {platform.machine()}; {durable}"


def number(value: float | None) -> str:
    """Whole from a hundred up, else with what the eye needs."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _verdict(row: Row) -> str:
    if row.reached is None:
        return ""
    return "[green]reached[/green]" if row.reached else "[bold red]missed[/bold red]"


def table(rows: Sequence[Row]) -> Table:
    """Figure, ours, the peer, ratio, bar, verdict, and honestly what is counted."""
    made = Table(title="make bench: medians, sides measured in turn", title_justify="left")
    made.add_column("figure")
    made.add_column("unit", style="dim")
    for name in ("ours", "peer", "ratio", "bar"):
        made.add_column(name, justify="right")
    made.add_column("")
    made.add_column("what is counted", style="dim")
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}x"
        peer = f"{row.peer_name} {number(row.peer)}" if row.peer is not None else "-"
        bar = str(row.bar) if row.bar else "-"
        cells = (row.title, row.unit, number(row.ours), peer, ratio, bar, _verdict(row), row.note)
        made.add_row(*cells)
    return made


def publish(console: Console, server: Server, rows: Sequence[Row]) -> None:
    """Print the table and what it was measured with."""
    console.print(table(rows))
    console.print(versions(server), style="dim")


def write(path: Path, figures: dict[str, Any]) -> None:
    """bench.json: only what was measured in this run."""
    path.write_text(json.dumps(figures, indent=2) + "\n")
