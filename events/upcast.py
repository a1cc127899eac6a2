"""Old data in today's shape: pure steps, dict to dict, one per (type, schema) that is no longer written.

A step answers the next schema's data and leaves its argument alone. There is none yet; when a type
changes, its schema in `types.REGISTRY` grows by one, the step goes in here, and a golden file of the
new schema joins those of the old ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Step = Callable[[dict[str, Any]], dict[str, Any]]

STEPS: Final[Mapping[tuple[str, int], Step]] = {}


def upcast(
    event_type: str,
    schema: int,
    data: dict[str, Any],
    steps: Mapping[tuple[str, int], Step] = STEPS,
) -> tuple[int, dict[str, Any]]:
    """`(schema, data)` after every step that applies; what no step knows comes back as it is.

    Idempotent: the answer, put in again, comes back unchanged.
    """
    while step := steps.get((event_type, schema)):
        data = step(data)
        schema += 1
    return schema, data
