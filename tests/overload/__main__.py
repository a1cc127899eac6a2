"""A flood of jobs, then a thousand clients of the live feed, fifty of which never read; every figure is measured.

    make overload                                  # three minutes of flood
    python -m tests.overload --seconds 20

Exit status: 0 when depth, waiting times, memory and the feed were as promised, 1 when not, 2 for a bad option.
"""

from __future__ import annotations

import asyncio
import sys

from ..options import Options
from .run import main

line = Options("tests.overload", __doc__)
line.variable("OVERLOAD_SECONDS", 180, "how long jobs flood in")
sys.exit(0 if asyncio.run(main(line.parse_args().seconds)) else 1)
