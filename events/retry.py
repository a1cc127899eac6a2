"""How long a failed job waits before its next attempt. Pure: the jitter comes from the job itself."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

CAP: Final = 3600  # seconds: where exponential backoff stops growing
_APART: Final = 10_000  # ms
_JITTER: Final = 0.25  # the share of a wait that jitter may take away


def backoff(kind: str, retry_delay: int, retry: int, job: bytes, attempt: int) -> int:
    """Milliseconds to wait before retry number `retry` (from 1), after attempt `attempt` failed.

    `fixed` waits `retry_delay` seconds. `exponential` doubles it each time up to an hour (or up to
    `retry_delay`, if that is longer) and takes up to a quarter away, so that jobs that failed
    together do not come back together. The same job and attempt give the same wait: whoever
    decides again after a conflict decides the same.
    """
    if kind == "fixed":
        return retry_delay * 1000
    # Past 2**12 even one second is over the cap; the bound keeps the power small.
    grown = min(retry_delay << min(retry - 1, 12), max(CAP, retry_delay))
    return round(grown * 1000 * (1 - _JITTER * _fraction(job, attempt)))


def apart(losses: int, job: bytes, attempt: int) -> int:
    """Milliseconds that a job waits whose worker died while it ran, after `losses` such deaths before.

    None the first time. After that the jobs of one worker come back at different moments: one of them may
    be what killed it, and the others must not be beside it each time, and be set aside with it.
    """
    return round(losses * _APART * _fraction(job, attempt))


def _fraction(job: bytes, attempt: int) -> float:
    digest = sha256(job + attempt.to_bytes(4, "big")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
