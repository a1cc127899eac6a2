"""The row limit: how many event rows a second PostgreSQL takes in one transaction.

The arrays are packed in PostgreSQL's binary form before the clock starts: this is what the server
can do with our event row and its two indexes: an upper bound for everything built on it.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

ROWS = 10_000  # a statement
STATEMENTS = 10  # a transaction

_TABLE = """
create table limit_events (
  position bigint not null, stream uuid not null, version integer not null, type smallint not null,
  queue smallint not null, recorded_at timestamptz not null, actor integer, correlation text,
  schema smallint not null, data jsonb, primary key (position), unique (stream, version))
"""
_INSERT = """
insert into limit_events
select position, stream, version, type, 1, now(), 7, null, 1, null
from unnest(%b::bigint[], %b::uuid[], %b::integer[], %b::smallint[])
  as u(position, stream, version, type)
"""

_OIDS = {"q": 20, "16s": 2950, "i": 23, "h": 21}


class Packed(bytes):
    """An array in PostgreSQL's binary form already; the cast in the statement names its type."""


class _PackedDumper(Dumper):
    format = Format.BINARY
    oid = 0

    def dump(self, obj: Packed) -> Buffer:
        return obj


def packed(code: str, values: Sequence[int] | Sequence[bytes]) -> Packed:
    """One dimension, no nulls; struct codes: q bigint, 16s uuid, i integer, h smallint."""
    size = struct.calcsize(f"!{code}")
    element = struct.Struct(f"!i{code}")
    head = struct.pack("!iiIii", 1, 0, _OIDS[code], len(values), 1)
    return Packed(head + b"".join(element.pack(size, value) for value in values))


def _statement(first: int) -> tuple[Packed, Packed, Packed, Packed]:
    """A third each of enqueued, started and completed, as a job's three events are."""
    positions = range(first, first + ROWS)
    prefix = os.urandom(8)
    streams = [prefix + struct.pack("!q", position // 3) for position in positions]
    versions = [position % 3 + 1 for position in positions]
    return (
        packed("q", positions),
        packed("16s", streams),
        packed("i", versions),
        packed("h", versions),
    )


def row_limit(url: str) -> float:
    """Rows a second of one transaction of ROWS * STATEMENTS rows, its commit included."""
    batches = [_statement(1 + ROWS * number) for number in range(STATEMENTS)]
    with psycopg.connect(url) as conn:
        conn.adapters.register_dumper(Packed, _PackedDumper)
        conn.execute(_TABLE)
        conn.commit()
        started = time.perf_counter()
        for batch in batches:
            conn.execute(_INSERT, batch)
        conn.commit()
        return ROWS * STATEMENTS / (time.perf_counter() - started)
