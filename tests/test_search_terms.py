"""The terms of a payload: bounded, and taken by PostgreSQL whatever it holds."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
import pytest
from hivelog.projections import search_terms
from hypothesis import given
from hypothesis import strategies as st


def test_terms_are_bounded_in_number_and_length() -> None:
    wide = {f"k{n}": f"w{n} " + "y" * 150 for n in range(10_000)}
    terms = search_terms.terms_of(_json(wide), ["e " * 5, " ".join(f"x{n}" for n in range(9999))])
    assert sum(1 for path, _ in terms if path) == search_terms.FIELDS
    assert len(terms) <= search_terms.FIELDS + search_terms.WORDS + search_terms.ERROR_WORDS
    assert max(len(value) for _, value in terms) <= 200
    (word,) = search_terms.terms_of(_json("z" * 5000))
    assert word == ("", "z" * 64)
    assert search_terms.terms_of(_json({"k" * 300: 1})) == [("", "1")]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=250),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=250), inner, max_size=4),
        max_leaves=12,
    )
)
def test_whatever_a_payload_holds_postgresql_takes_its_terms(connection_of_run: Any, payload: Any) -> None:
    terms = search_terms.terms_of(_json(payload))
    row = connection_of_run.execute("select %s::tsvector", (search_terms.vector(terms, None),)).fetchone()
    assert row is not None
    words = [value for path, value in terms if not path][:10]
    if words:
        asked = search_terms.ask(" ".join(words), None, exact=False)
        row = connection_of_run.execute(
            "select %s::tsvector @@ %s::tsquery", (search_terms.vector(terms, None), asked)
        ).fetchone()
        assert row == (True,)


@pytest.fixture(scope="module")
def connection_of_run(servers: Any) -> Any:
    with psycopg.connect(servers.admin_url, autocommit=True) as conn:
        yield conn


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
