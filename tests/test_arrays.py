"""Columns in PostgreSQL's wire format: what is written is read again, whatever is NULL in it."""

from __future__ import annotations

import pytest
from hivelog.events import arrays


@pytest.mark.parametrize(
    "items",
    [
        [None, None, None], [None, b"one", b""], [b"", b""], [b"same", b"size"], [b"one", None], [b"\xff" * 4],
    ],
)  # fmt: skip
def test_byteas_come_back_as_they_were(items: list[bytes | None]) -> None:
    made = arrays.array(arrays.BYTEA, len(items), [arrays.byteas(items)])
    assert arrays.load_byteas(made) == items
    assert arrays.whole(arrays.BYTEA, len(items), arrays.byteas(items)) == made


@pytest.mark.parametrize("items", [[None, None], [None, -1], [3, 2, 1], [-1, None]])
def test_numbers_of_keys_come_back_as_they_were(items: list[int | None]) -> None:
    made = arrays.array(arrays.SMALLINT, len(items), [arrays.smallints(items)])
    assert arrays.load_optional_smallints(made) == items
