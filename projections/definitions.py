"""Which projections there are: the statement that folds a batch, and the tables it writes.

A generation that is not live has tables of its own, `<table>_g<n>`; the live one has the plain names, so
that readers and reports need not know of generations. One below 0 is a session's own, in temporary tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql as composed

from .. import sql

SCHEMA = "hivelog"


@dataclass(frozen=True)
class Projection:
    """`query` names a file of sql/queries; its placeholders are the tables' names."""

    name: str
    query: str
    tables: tuple[str, ...]

    def statement(self, generation: int, *, live: bool) -> composed.Composed:
        """The folding statement for one generation's tables.

        Parameters: generation, after, upto. Answers one row: whether the checkpoint was moved.
        """
        names = {table: self.table(table, generation, live=live) for table in self.tables}
        # The text comes from our own package.
        return composed.SQL(sql.load(self.query)).format(**names)

    def table(self, table: str, generation: int, *, live: bool) -> composed.Identifier:
        """The table's name in a generation."""
        if generation < 0:
            return composed.Identifier("pg_temp", table)
        return composed.Identifier(SCHEMA, table if live else f"{table}_g{generation}")


PROJECTIONS: tuple[Projection, ...] = (
    Projection("jobs", "projection_jobs", ("jobs", "queue_minutes", "queue_hours")),
    Projection("failures", "projection_failures", ("failures",)),
    Projection("workers", "projection_workers", ("workers",)),
    Projection("rounds", "projection_rounds", ("rounds",)),
)


def named(name: str) -> Projection:
    """Raises KeyError for an unknown name."""
    for projection in PROJECTIONS:
        if projection.name == name:
            return projection
    raise KeyError(name)
