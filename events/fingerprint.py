"""Groups errors that are the same mistake: the template of a message and its fingerprint.

The template stays readable in the log and in `failures` even with encryption on, so it must not
carry what a payload could have carried: numbers, quoted text, ids, hex, paths, addresses and dates
become marks. The words that the programmer wrote stay, unless the payload has them among its texts: the
log keeps the template for ever, also when what the job carried was erased.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

import msgspec

_LONGEST_READ: Final = 500  # characters of a message that are looked at: bounds the time, too
_LONGEST: Final = 200  # characters of a template
_LONGEST_TYPE: Final = 100

# In this order: what may contain another comes before it. No nested repeats, so no slow input.
_MARKS: Final = tuple(
    (re.compile(pattern), mark)
    for pattern, mark in (
        # A quote counts only where a word does not go on, so that "can't" stays. An unclosed one
        # hides the rest of the line.
        (r"(?<!\w)\"[^\"]*(?:\"|$)|“[^”]*(?:”|$)|«[^»]*(?:»|$)|`[^`]*(?:`|$)", "<text>"),
        (r"(?<!\w)[bru]{0,2}'(?:[^'\\]|\\.|(?<=\w)'(?=\w))*(?:'|$)", "<text>"),
        (r"(?<![A-Za-z])[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s,;<>]+", "<url>"),
        (r"[^\s@<>:,;=()]+@[^\s@<>:,;=()]+", "<email>"),
        (r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b", "<id>"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", "<time>"),
        (r"(?<!\w)(?:[A-Za-z]:)?(?:\\[^\\\s:,;]+)+\\?", "<path>"),
        (r"(?<![\w<])(?:~|\.{1,2})?(?:/[^/\s:,;()]+)+/?", "<path>"),
        (r"\b(?:[\w.-]+/)+[\w.-]+", "<path>"),
        (r"\b0[xX][0-9A-Fa-f]+\b", "<hex>"),
        (r"\b(?=[A-Fa-f]*\d)[0-9A-Fa-f]{8,}\b", "<hex>"),
        (r"\b[A-Za-z0-9_+=-]{32,}", "<id>"),
        # A word with a digit in it names a thing (u1, order-77, v2), not a mistake.
        (r"\b[^\W\d]\w*\d\w*(?:-\w+)*|\b[^\W\d]+-\d[\w-]*", "<id>"),
        (r"[+-]?\b\d[\d.,:_]*(?:[eE][+-]?\d+)?\w*%?", "<n>"),
    )
)
_REPEATED: Final = re.compile(r"(<[a-z]+>)(?:[\s,;:]+\1)+")
# Three letters or more, and not one of the marks.
_WORD: Final = re.compile(r"(?<![\w<])\w{3,}(?!>)")
_LONGEST_PAYLOAD: Final = 64 * 1024  # characters of a payload whose words are looked for
_TYPE: Final = re.compile(r"[^A-Za-z0-9_.]+")


class Failure(msgspec.Struct, frozen=True):
    """What the log may say about an error in the clear."""

    error_type: str
    fingerprint: str  # 16 hex digits
    template: str  # at most 200 characters, no literals


def failure(job_type: str, error_type: str, message: str, payload: bytes = b"") -> Failure:
    """Describe an error of a job of this type; `error_type` is a class name, such as ValueError.

    Same job type, class and template: same fingerprint, whatever numbers and names the message had.
    """
    kind = _TYPE.sub("_", error_type)[:_LONGEST_TYPE] or "Error"
    shape = template(message)
    digest = sha256("\0".join((job_type, kind, shape)).encode("utf-8", "replace"))
    return Failure(kind, digest.hexdigest()[:16], without(shape, payload))


def without(shape: str, payload: bytes) -> str:
    """A template without the words that stand in the texts of a payload (JSON, its first 64 KiB)."""
    words = _words(payload)
    if not words:
        return shape
    masked = _WORD.sub(lambda found: "<value>" if found[0].lower() in words else found[0], shape)
    return _REPEATED.sub(r"\1", masked)[:_LONGEST]


def _words(payload: bytes) -> set[str]:
    try:
        left = [msgspec.json.decode(payload)] if payload else []
    except (msgspec.DecodeError, RecursionError):
        return set()
    words: set[str] = set()
    read = 0
    while left and read < _LONGEST_PAYLOAD:
        value = left.pop()
        if isinstance(value, str):
            read += len(value)
            words |= {word.lower() for word in _WORD.findall(value[:_LONGEST_PAYLOAD])}
        elif isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
    return words


def template(message: str) -> str:
    """The first line of a message with every literal replaced by a mark; "" stays ""."""
    line = next(iter(message[:_LONGEST_READ].strip().splitlines()), "")
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    for pattern, mark in _MARKS:
        line = pattern.sub(mark, line)
    line = _REPEATED.sub(r"\1", line)
    return " ".join(line.split())[:_LONGEST]
