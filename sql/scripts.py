"""The SQL that makes the schema, as files: which there are, in which order, with which checksum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from . import without_comments

_MIGRATION = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

# Applied again whenever their text changes, in this order: a report may call a function.
_REPLACEABLE = ("functions", "reports")


class ScriptError(RuntimeError):
    """The files themselves are wrong: a gap, a double number, a bad name."""


@dataclass(frozen=True)
class Script:
    """One file. `name` is its folder and name, as in `functions/append.sql`."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 in hex; the same on a checkout that turned line ends into CRLF."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


@dataclass(frozen=True)
class Scripts:
    """All files of one version of the code; migration n is `migrations[n - 1]`."""

    migrations: tuple[Script, ...]
    replaceable: tuple[Script, ...]
    grants: tuple[Script, ...]


def read(root: Traversable | None = None) -> Scripts:
    """Read `root` (the package's own SQL if None). Raises ScriptError."""
    root = files(__package__) if root is None else root
    replaceable = [script for folder in _REPLACEABLE for script in _scripts(root, folder)]
    return Scripts(_migrations(root), tuple(replaceable), tuple(_scripts(root, "grants")))


def called_by(script: Script, replaceable: tuple[Script, ...]) -> Iterator[Script]:
    """Functions that a script names, by their file: `hivelog.now()` is functions/now.sql."""
    names = set(re.findall(r"\bhivelog\.(\w+)\s*\(", without_comments(script.text)))
    for candidate in replaceable:
        if candidate.name.removeprefix("functions/").removesuffix(".sql") in names:
            yield candidate


def _migrations(root: Traversable) -> tuple[Script, ...]:
    found = tuple(_scripts(root, "migrations"))
    for number, script in enumerate(found, start=1):
        name = script.name.removeprefix("migrations/")
        match = _MIGRATION.fullmatch(name)
        if match is None:
            raise ScriptError(f"sql/migrations/{name}: the name must be like 0001_what_it_does.sql")
        if int(match[1]) != number:
            raise ScriptError(f"sql/migrations/{name}: migration {number:04d} was expected here")
    return found


def _scripts(root: Traversable, folder: str) -> Iterator[Script]:
    path = root / folder
    if path.is_dir():
        for entry in sorted(path.iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(".sql"):
                yield Script(f"{folder}/{entry.name}", entry.read_text(encoding="utf-8"))
