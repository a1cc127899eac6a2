"""Time of one database, moved by hand on top of the real one. Fixture: `clock`."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

_REPLACEMENT = """
create table public.hivelog_test_clock (ahead interval not null);
insert into public.hivelog_test_clock values ('0');
grant select on public.hivelog_test_clock to public;
create or replace function hivelog.now() returns timestamptz
language sql volatile parallel safe as $$
    select date_trunc('milliseconds', clock_timestamp() + ahead) from public.hivelog_test_clock
$$;
"""

_STANDING = """
alter table public.hivelog_test_clock add column since timestamptz not null
    default date_trunc('milliseconds', clock_timestamp());
create or replace function hivelog.now() returns timestamptz
language sql volatile parallel safe as $$
    select since + ahead from public.hivelog_test_clock
$$;
"""


@dataclass
class Clock:
    """What `hivelog.now()` of the database at `url` says."""

    url: str

    def install(self) -> None:
        """Replace the only clock that decides anything, in this database."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(_REPLACEMENT)

    def stop(self) -> None:
        """Time stands still from now on, but for `advance`: two answers can have the same time."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(_STANDING)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once, for every process that uses the database."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(
                "update hivelog_test_clock set ahead = ahead + make_interval(secs => %s)",
                (seconds,),
            )
