"""Writes many rows at once: with one statement each time on PostgreSQL, with a few on SQLite.

PostgreSQL is given all rows as one JSON array: a driver that adapts each value costs more. SQLite
reads JSON slowly, and is given values; a statement for each number of rows, which stays prepared.
None of them steps through rows: the driver would wait for the interpreter's lock after each.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from askonce.db.prepared import Prepared, run

# All sizes of three tables are remembered by the driver (`cached_statements`).
MOST_AT_ONCE = 64
_COMPACT = json.JSONEncoder(separators=(",", ":"))


class ManyRows:
    """An INSERT of any number of rows into one table; `ending` is what follows the rows.

    `types` are the columns with their types on PostgreSQL, in the order of the values. `fixed` has
    further columns, with an expression for each, by dialect.
    """

    def __init__(
        self,
        table: str,
        types: Mapping[str, str],
        *,
        fixed: Mapping[str, Mapping[str, str]] | None = None,
        ending: str = "",
    ) -> None:
        fixed = fixed or {}
        columns = ", ".join((*types, *fixed))
        # Nothing of it comes from outside.
        into = f"INSERT INTO {table} ({columns})"
        values = ", ".join((*["?"] * len(types), *(one["sqlite"] for one in fixed.values())))
        self._in_sqlite = [
            f"{into} VALUES {', '.join([f'({values})'] * size)} {ending}"
            for size in range(1, MOST_AT_ONCE + 1)
        ]
        read = [f"CAST(one->>{place} AS {kind})" for place, kind in enumerate(types.values())]
        chosen = ", ".join((*read, *(one["postgresql"] for one in fixed.values())))
        rows = "jsonb_array_elements(CAST(:rows AS jsonb)) WITH ORDINALITY AS every (one, place)"
        statement = f"{into} SELECT {chosen} FROM {rows} ORDER BY place {ending}"  # noqa: S608 - see above
        self._in_postgresql = Prepared(statement)
        self._with_ids = Prepared(f"{statement} RETURNING id")

    def write(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Write all rows, in their order."""
        if connection.dialect.name == "sqlite":
            self._write_in_sqlite(connection, rows)
        else:
            self._in_postgresql.change(connection, {"rows": _COMPACT.encode(rows)})

    def write_with_ids(
        self, connection: Connection, rows: Sequence[Sequence[Any]]
    ) -> Sequence[int]:
        """Write all rows, and return their ids, which ascend in the order of the rows."""
        if connection.dialect.name == "sqlite":
            # Nobody else writes meanwhile, so the ids count up without a gap.
            last_id = self._write_in_sqlite(connection, rows)
            return range(last_id + 1 - len(rows), last_id + 1)
        # The rows get their ids in the order of the sort, so the smallest one is the first one's.
        given = self._with_ids.rows(connection, {"rows": _COMPACT.encode(rows)})
        return sorted(row[0] for row in given)

    def _write_in_sqlite(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> int:
        """Write all rows, in their order, and return the id of the last one."""
        last_id = 0
        for begin in range(0, len(rows), MOST_AT_ONCE):
            some = rows[begin : begin + MOST_AT_ONCE]
            values = tuple(chain.from_iterable(some))
            last_id = run(connection, self._in_sqlite[len(some) - 1], values).lastrowid
        return last_id
