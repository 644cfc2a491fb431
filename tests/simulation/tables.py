"""The product's tables in memory, and triggers that tell what each transaction does to them."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from askonce.db.rows import Row
from tests.simulation.history import FlightSeen, Intent

_ROW = ("fingerprint", "epoch", "fence", "beat", "state", "owner", "takeovers", "answer_id")


# What is spent and saved, by the rows that it is the sum of, and what is said twice or never.
_MISBOOKED = {
    "spent": """
        SELECT * FROM (
          SELECT sum(calls), sum(failed), sum(unpriced), sum(tokens_in), sum(tokens_out), sum(cost)
          FROM usage_daily HAVING count(*) > 0
        ) EXCEPT SELECT count(*), sum(outcome = 'failed'),
          sum(outcome <> 'failed' AND cost IS NULL), coalesce(sum(tokens_in), 0),
          coalesce(sum(tokens_out), 0), coalesce(sum(cost), 0)
        FROM attempts WHERE outcome <> 'open'""",
    "saved": """
        SELECT sum(hits), sum(collapsed), sum(replays) FROM usage_daily HAVING count(*) > 0
        EXCEPT SELECT sum(outcome = 'hit'), sum(outcome = 'collapsed'), sum(outcome = 'replay')
        FROM audit_events WHERE action = 'analyze' HAVING count(*) > 0""",
    "calls not in the trail as they ended": """
        SELECT id, outcome FROM attempts WHERE outcome <> 'open' AND outcome IS NOT (
          SELECT outcome FROM audit_events WHERE action = 'call'
            AND json_extract(about, '$.attempt') = attempts.id ORDER BY id DESC LIMIT 1)""",
    "calls twice in the trail": """
        SELECT json_extract(about, '$.attempt') AS attempt FROM audit_events WHERE action = 'call'
        GROUP BY attempt, outcome HAVING count(*) > 1""",
    "analyses not once in the trail": """
        SELECT id FROM analyses WHERE 1 <> (
          SELECT count(*) FROM audit_events WHERE action = 'analyze' AND outcome <> 'replay'
            AND json_extract(about, '$.analysis') = analyses.id)""",
}


class Tables:
    """One connection for all schedules: SQLAlchemy compiles each statement once."""

    def __init__(self) -> None:
        engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        Row.metadata.create_all(engine)
        self.connection: Connection = engine.connect()
        # What the running transaction has changed so far.
        self.flights: list[tuple[bytes, FlightSeen | None]] = []
        self.answers: list[tuple[int, str | None]] = []
        self._raw = self._driver()
        self._raw.commit()
        self._raw.execute("PRAGMA foreign_keys=ON")
        self._raw.create_function("saw_flight", len(_ROW), self._saw_flight)
        self._raw.create_function("saw_answer", 2, self._saw_answer)
        new = ", ".join(f"NEW.{name}" for name in _ROW)
        gone = "OLD.fingerprint" + ", NULL" * (len(_ROW) - 1)
        for name, event, seen in (
            ("made", "INSERT ON flights", f"saw_flight({new})"),
            ("changed", "UPDATE ON flights", f"saw_flight({new})"),
            ("removed", "DELETE ON flights", f"saw_flight({gone})"),
            ("given", "INSERT ON answers", "saw_answer(NEW.id, NEW.result)"),
            ("taken", "DELETE ON answers", "saw_answer(OLD.id, NULL)"),
        ):
            self._raw.execute(f"CREATE TEMP TRIGGER {name} AFTER {event} BEGIN SELECT {seen}; END")

    def clear(self) -> None:
        """Empty all tables; ids start at 1 again."""
        self.connection.rollback()
        tables = [table.name for table in reversed(Row.metadata.sorted_tables)]
        for table in (*tables, "sqlite_sequence"):
            self._raw.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        self._raw.commit()
        self.forget_changes()

    def forget_changes(self) -> None:
        self.flights.clear()
        self.answers.clear()

    def changes(self) -> int:
        """Return how many rows have been written or removed so far; only ever grows."""
        return int(self._raw.total_changes)

    def intent(self, attempt_id: int) -> Intent | None:
        """Return the row of an attempt as it is now."""
        row = self._raw.execute(
            "SELECT id, epoch, fence, owner FROM attempts WHERE id = ?", (attempt_id,)
        ).fetchone()
        return None if row is None else Intent(*row)

    def bought(self) -> dict[int, Intent]:
        """Return which attempt bought each answer."""
        rows = self._raw.execute(
            "SELECT answer_id, id, epoch, fence, owner FROM attempts WHERE answer_id IS NOT NULL"
        )
        return {answer_id: Intent(*row) for answer_id, *row in rows}

    def outcomes(self) -> dict[int, str]:
        """Return how each attempt ended."""
        return dict(self._raw.execute("SELECT id, outcome FROM attempts").fetchall())

    def analyses(self) -> dict[int, str]:
        """Return the whole history: the answer's text by the analysis' id."""
        rows = self._raw.execute(
            "SELECT analyses.id, result FROM analyses JOIN answers ON answers.id = answer_id"
        )
        return dict(rows.fetchall())

    def misbooked(self) -> list[str]:
        """Return where the books say another thing than the tables whose changes they record."""
        return [
            f"{what}: {', '.join(str(row) for row in rows)}"
            for what, query in _MISBOOKED.items()
            if (rows := self._raw.execute(query).fetchall())
        ]

    def _driver(self) -> Any:
        return self.connection.connection.driver_connection

    def _saw_flight(self, fingerprint: bytes, *row: Any) -> None:
        self.flights.append((fingerprint, None if row[0] is None else FlightSeen(*row)))

    def _saw_answer(self, answer_id: int, text: str | None) -> None:
        self.answers.append((answer_id, text))


@cache
def shared_tables() -> Tables:
    """Return the tables that all schedules use, one after another."""
    return Tables()
