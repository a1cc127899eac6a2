"""What can be searched for in a job, and how a question is read. Pure.

    terms_of(b'{"user": {"id": "u1"}}', ["ValueError: no such file"])
    ask('user.id:u1 file', keys=None)        # a tsquery: both must be there

A term is a field with its whole value, or a single word of any value or error text. Case does not count. Of
encrypted jobs only keyed hashes of terms are kept, so that whole words are all that can be asked for.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from ..events.keyring import Kek, Keyring

Term = tuple[str, str]  # (path, value); a word has no path
# What a payload is that SQL or another program wrote: no JSON, no UTF-8, or nested without end.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

FIELDS: Final = 64  # terms of each kind a job has at most; what comes first in the text counts
WORDS: Final = 128
ERROR_WORDS: Final = 128
_LONGEST: Final = 200  # characters of a path and of a value; a longer one is no field's term
_LONGEST_WORD: Final = 64  # a longer word counts by its beginning
_MOST_ASKED: Final = 10
_HASH: Final = 8  # bytes of a hash: enough to tell terms apart, too little to mean anything alone

_WORD: Final = re.compile(r"\w+")
_PART: Final = re.compile(r'(?:([^\s:"]+):)?(?:"([^"]*)"|(\S+))')


def terms_of(payload: bytes | None, errors: Sequence[str] = ()) -> list[Term]:
    """Of a payload in JSON, and of error texts, the newest first. Raises one of UNREADABLE."""
    fields: dict[Term, None] = {}
    words: dict[Term, None] = {}
    for path, value in _scalars("", None if payload is None else msgspec.json.decode(payload)):
        if len(fields) == FIELDS and len(words) >= WORDS:
            break
        if path and len(fields) < FIELDS and len(path) <= _LONGEST and 0 < len(value) <= _LONGEST:
            fields[_folded(path), _folded(value)] = None
        words.update(dict.fromkeys(islice(_words(value), max(WORDS - len(words), 0))))
    said = (word for error in errors for word in _words(error))
    return [*dict.fromkeys([*fields, *words, *islice(dict.fromkeys(said), ERROR_WORDS)])]


def _scalars(path: str, value: Any) -> Iterator[Term]:
    """Every value that is no object and no list, as text; of a list by the list's path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _scalars(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _scalars(path, inner)
    elif isinstance(value, str):
        yield path, value
    elif value is not None:
        yield path, msgspec.json.encode(value).decode()


def _folded(text: str) -> str:
    return text.casefold()[:_LONGEST]  # folding may make a text longer, and a lexeme has at most 2 KB


def _words(text: str) -> Iterator[Term]:
    for found in _WORD.finditer(text):
        yield "", found.group().casefold()[:_LONGEST_WORD]


def vector(terms: Iterable[Term], kek: Kek | None) -> str:
    """The text of a tsvector; hashed under the key, if there is one."""
    return " ".join(_quoted(_plain(term) if kek is None else _hashed(term, kek)) for term in terms)


def ask(text: str, keys: Keyring | None, *, exact: bool) -> str:
    """The text of a tsquery. Raises ValueError with a clause that says what is wrong.

    `exact`: jobs are encrypted now, so that `begin*` would silently find old ones only.
    """
    asked = [term for part in _PART.finditer(text) for term in _asked(part, exact=exact)]
    if not asked:
        raise ValueError("must have a word, or field:value")
    if len(asked) > _MOST_ASKED:
        raise ValueError(f"must have at most {_MOST_ASKED} words and fields")
    return " & ".join(f"({' | '.join(_alternatives(term, begins, keys))})" for term, begins in asked)


def _asked(part: re.Match[str], *, exact: bool) -> list[tuple[Term, bool]]:
    """Terms, and whether they are only beginnings."""
    path, quoted, bare = part.groups()
    value = quoted if bare is None else bare
    begins = bare is not None and bare.endswith("*")
    if begins and exact:
        raise ValueError(
            "can only be of whole words: beginnings (word*) are unknown where jobs are encrypted"
        )
    value = value.removesuffix("*") if begins else value
    if path is None and value.endswith(":"):
        path, value = value[:-1], ""
    if path is None:
        found = list(_words(value))
        return [(term, begins and term is found[-1]) for term in found]
    if not value or len(value) > _LONGEST:
        raise ValueError(f"must have a value of 1 to {_LONGEST} characters after {path[:64]}:")
    return [((_folded(path), _folded(value)), begins)]


def _alternatives(term: Term, begins: bool, keys: Keyring | None) -> list[str]:
    """Old jobs may be plain, or hashed under a key that was the first before."""
    hashed = [] if keys is None or begins else [_hashed(term, kek) for kek in keys.keks]
    return [_quoted(_plain(term)) + (":*" if begins else ""), *map(_quoted, hashed)]


def tail(job: str) -> str:
    """The term of a job's last 8 characters, by which people name it; it is no secret, and never hashed."""
    # Neither a word nor a hash begins so.
    return _quoted("#~" + job[-8:].lower())


def paths(payload: bytes) -> list[str]:
    """The fields of a payload in JSON that can be searched, as they are written. Raises one of UNREADABLE."""
    found = (path for path, value in _scalars("", msgspec.json.decode(payload)) if path and value)
    return [*islice(dict.fromkeys(path for path in found if len(path) <= _LONGEST), FIELDS)]


def _plain(term: Term) -> str:
    return f"{term[0]}={term[1]}" if term[0] else term[1]


def _hashed(term: Term, kek: Kek) -> str:
    # No word has a `#` in it, so that a hash is never taken for one.
    return "#" + b64encode(kek.keyed_hash(*term)[:_HASH]).decode()


def _quoted(lexeme: str) -> str:
    clean = lexeme.replace("\0", "").encode("utf-8", "replace").decode()
    return "'" + clean.replace("\\", "\\\\").replace("'", "''") + "'"
