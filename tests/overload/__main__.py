"""`make overload`."""

from __future__ import annotations

import asyncio
import sys

from .run import main

sys.exit(0 if asyncio.run(main()) else 1)
