"""Imported by every Python that has this folder on its path: a wall clock that can be put wrong.

CHAOS_CLOCK names a file with the seconds that `time.time` is off; it is looked at ten times a second.
"""

import contextlib
import os
import time

_true, _path = time.time, os.environ["CHAOS_CLOCK"]
_off, _looked = 0.0, 0.0


def _time() -> float:
    global _off, _looked
    if time.monotonic() - _looked > 0.1:
        _looked = time.monotonic()
        with contextlib.suppress(OSError, ValueError), open(_path, encoding="ascii") as file:
            _off = float(file.read())
    return _true() + _off


time.time = _time
