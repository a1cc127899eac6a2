"""Everything PostgreSQL is told: migrations, functions, queries, reports, grants.

One statement a file, with a header comment that says what it does, its parameters and its answer. What
several queries share and no function may hold is a part: `@name@` stands for parts/name.sql.
"""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from importlib.resources.abc import Traversable

_PART = re.compile(r"@(\w+)@")


@functools.cache
def load(name: str) -> str:
    """The text of `queries/name.sql`, else `functions/name.sql`.

    A query comes without its comment lines: the server need not read them at each call, and a
    percent sign in prose is no placeholder. FileNotFoundError if there is no such file.
    """
    root = files(__package__)
    query = root / "queries" / f"{name}.sql"
    if query.is_file():
        return _whole(query)
    return (root / "functions" / f"{name}.sql").read_text(encoding="utf-8")


def _whole(query: Traversable) -> str:
    """Without comments, its parts put in."""
    parts = files(__package__) / "parts"
    text = without_comments(query.read_text(encoding="utf-8"))
    return _PART.sub(lambda found: _whole(parts / f"{found[1]}.sql"), text)


def without_comments(text: str) -> str:
    """Drop whole comment lines."""
    kept = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--"))
    return "\n".join(kept)
