"""What a worker remembers of the jobs that it runs, and of those whose end is not written yet."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from msgspec import Struct

from ..events.batch import End, Started
from ..events.vault import JobKey
from .attempt import Ending
from .context import JobContext


class Running(Struct, eq=False):
    """A lease that this worker holds."""

    job: Started
    key: JobKey
    ctx: JobContext
    task: asyncio.Task[None] | None = None
    dropped: bool = False  # lost or released: its outcome is not ours to tell any more


# An attempt that is over: its lease, the end to write, and what it came to (None: given back).
Ended: TypeAlias = tuple[Running, End, Ending | None]
