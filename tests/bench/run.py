"""Hivelog measured beside PgQueuer and Graphile Worker: a table, and bench.json.

    make bench
    python -m tests.bench --quick --only run,bulk

BENCH_DATABASE_URL (a superuser) and BENCH_REDIS_URL name servers to measure on; without them it starts its own.
What it makes on them is dropped at the end.

Exit status: 0 when every bar measured is reached, 1 when one was missed, 2 for a bad option.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from rich.console import Console

from ..options import Options
from .bench import Bench
from .ours import Ours
from .report import publish, write
from .server import Server, running_server

FIGURES = (
    "run", "run_encrypted", "graphile", "bulk", "concurrent_singles", "end_to_end", "latency",
    "single_beside_bulk", "backlog_1m", "http_post", "resources", "row_limit",
)  # fmt: skip
RESULT = Path(__file__).parents[2] / "bench.json"


def options() -> argparse.Namespace:
    parser = Options("tests.bench", f"{__doc__}\nFigures: {', '.join(FIGURES)}")
    parser.add_argument("--only", metavar="FIGURES", default=",".join(FIGURES), help="these figures alone, by commas")
    parser.add_argument("--rounds", type=int, metavar="N", default=5, help="samples of each side (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="fewer jobs: a smoke test")
    parser.add_argument("--peers-only", action="store_true", help="leave our own side out")
    args = parser.parse_args()
    args.only = args.only.split(",")
    if unknown := set(args.only) - set(FIGURES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; of {', '.join(FIGURES)}")
    return args


def both_sides(server: Server) -> tuple[Ours, Ours]:
    """Ours without and with encryption. Imported here: the peers are measured without it."""
    from .hivelog_contender import Hivelog

    return Hivelog(server), Hivelog(server, encrypted=True)


def main() -> int:
    args = options()
    console = Console(width=max(150, shutil.get_terminal_size((150, 50)).columns), highlight=False)
    with running_server() as server:
        ours = None if args.peers_only else both_sides(server)
        bench = Bench(server, ours, rounds=args.rounds, quick=args.quick, console=console)
        bench.measure(args.only)
        publish(console, server, bench.rows)
    write(RESULT, bench.figures)
    return 1 if any(row.reached is False for row in bench.rows) else 0
