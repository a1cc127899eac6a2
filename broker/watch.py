"""Time that was seen to pass, as opposed to time on a clock. Pure.

After an outage, a pause or a missed look the clock has moved, but nobody saw what happened meanwhile: a
session may have beaten into a database that was not there. Such time counts for nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping


class Watch:
    """How long things have been seen unchanged. Times in milliseconds of the database's clock."""

    def __init__(self, longest_gap: int) -> None:
        """Two looks further apart than `longest_gap` are not one observation."""
        self._gap = longest_gap
        self._last: int | None = None
        self._since: dict[Hashable, tuple[object, int]] = {}

    def reset(self) -> None:
        """Something went wrong between two looks: everything begins anew."""
        self._last = None
        self._since = {}

    def look(self, now: int, seen: Mapping[int, object]) -> dict[int, int]:
        """Key -> for how long it has been there with this value, in milliseconds; 0 when new."""
        if self._last is None or not 0 <= now - self._last <= self._gap:
            self._since = {}
        self._last = now
        kept: dict[Hashable, tuple[object, int]] = {}
        for key, value in seen.items():
            before = self._since.get(key)
            kept[key] = before if before is not None and before[0] == value else (value, now)
        self._since = kept
        return {key: now - kept[key][1] for key in seen}
