"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from sqlalchemy import BigInteger, Connection, DateTime, Dialect, Integer
from sqlalchemy.types import TypeDecorator

from askonce.core.limits import microseconds

# SQLite numbers rows by itself only in a column that is declared INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

_PICODOLLARS = Decimal(10) ** 12


# A batch has few amounts, and each of them often.
@lru_cache(maxsize=1024)
def picodollars(amount: Decimal) -> int:
    """Return an amount as it is stored."""
    return int((amount * _PICODOLLARS).to_integral_value())


def dollars(stored: int) -> Decimal:
    """Return what `picodollars` was given."""
    return Decimal(stored) / _PICODOLLARS


def stored(connection: Connection, at: datetime) -> str:
    """Return a moment as text that is stored as it should be, without going through the column."""
    moment = at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return moment if connection.dialect.name == "sqlite" else f"{moment}+00"


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, stored as UTC. SQLite forgets time zones, so we put ours back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"{value!r} has no time zone"
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Microseconds(TypeDecorator[datetime]):
    """A moment, stored as microseconds since 1970: where statements calculate with it."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else microseconds(value)


class Usd(TypeDecorator[Decimal]):
    """An exact amount of US dollars, stored as whole picodollars (10^-12).

    A token of the cheapest model costs 10^-7 dollars, a cached one less; SQLite would store a
    NUMERIC as a float.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else picodollars(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        del dialect
        return None if value is None else dollars(value)
