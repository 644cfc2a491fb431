"""Counts requests for all processes together: one statement for all of a batch.

A row is locked from its statement on until the commit, so what it granted holds.
"""

import json
from collections.abc import Mapping

from sqlalchemy import BigInteger, Connection, TextClause, bindparam, text

from askonce.core.limits import Rate, Subject, Taken

_LEFT = "(:now + :whole - greatest(rate_limits.whole_at, :now)) / :interval"
_GRANTED = f"greatest(0, least(excluded.granted, {_LEFT}))"
# Rows are locked in the order of their key, so that two processes do not wait for each other.
_TAKE = f"""
    INSERT INTO rate_limits (tenant, kind, name, period, granted, whole_at)
    SELECT tenant, kind, name, :period,
           least(wanted, :count), :now + least(wanted, :count) * :interval
    FROM {{wanted}} ORDER BY tenant, kind, name
    ON CONFLICT (tenant, kind, name, period) DO UPDATE SET
        granted = {_GRANTED},
        whole_at = greatest(rate_limits.whole_at, :now) + {_GRANTED} * :interval
    RETURNING tenant, kind, name, granted, whole_at
    """  # noqa: S608 - our own words
_GIVE_BACK = """
    UPDATE rate_limits SET whole_at = whole_at - wanted.wanted * :interval
    FROM {wanted}
    WHERE rate_limits.tenant = wanted.tenant AND rate_limits.kind = wanted.kind
          AND rate_limits.name = wanted.name AND rate_limits.period = :period
    """
_IN_SQLITE = """
    (SELECT json_extract(value, '$[0]') AS tenant, json_extract(value, '$[1]') AS kind,
            json_extract(value, '$[2]') AS name, json_extract(value, '$[3]') AS wanted
     FROM json_each(:rows) WHERE true) AS wanted
    """
_IN_POSTGRESQL = """
    unnest(CAST(:tenants AS varchar[]), CAST(:kinds AS varchar[]),
           CAST(:names AS varchar[]), CAST(:counts AS bigint[]))
    AS wanted (tenant, kind, name, wanted)
    """


def _in_sqlite(statement: str) -> TextClause:
    written = statement.replace("greatest(", "max(").replace("least(", "min(")
    return text(written.format(wanted=_IN_SQLITE))


def _in_postgresql(statement: str) -> TextClause:
    numbers = ("now", "whole", "interval", "count")
    known = [name for name in numbers if f":{name}" in statement]
    return text(statement.format(wanted=_IN_POSTGRESQL)).bindparams(
        *(bindparam(name, type_=BigInteger) for name in known)
    )


_STATEMENTS = {
    "sqlite": (_in_sqlite(_TAKE), _in_sqlite(_GIVE_BACK)),
    "postgresql": (_in_postgresql(_TAKE), _in_postgresql(_GIVE_BACK)),
}


class SqlRateLimits:
    """How often everybody has asked lately."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def take(self, rate: Rate, wanted: Mapping[Subject, int], *, now: int) -> dict[Subject, Taken]:
        """Grant each subject as much as there is of what it wants; `now` in microseconds."""
        take, _ = _STATEMENTS[self._dialect]
        facts = self._facts(rate, wanted) | {"now": now, "whole": rate.whole, "count": rate.count}
        return {
            Subject(tenant, kind, name): Taken(granted, whole_at)
            for tenant, kind, name, granted, whole_at in self._connection.execute(take, facts)
        }

    def give_back(self, rate: Rate, unused: Mapping[Subject, int]) -> None:
        """Take back what `take` granted in this transaction and nobody used."""
        _, give_back = _STATEMENTS[self._dialect]
        self._connection.execute(give_back, self._facts(rate, unused))

    def _facts(self, rate: Rate, counts: Mapping[Subject, int]) -> dict[str, object]:
        facts: dict[str, object] = {"period": rate.period, "interval": rate.interval}
        if self._dialect == "sqlite":
            return facts | {"rows": json.dumps([(*one, count) for one, count in counts.items()])}
        return facts | {
            "tenants": [subject.tenant for subject in counts],
            "kinds": [subject.kind for subject in counts],
            "names": [subject.name for subject in counts],
            "counts": list(counts.values()),
        }
