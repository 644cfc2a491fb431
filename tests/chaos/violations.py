"""A broken promise, with all that proves it."""

import dataclasses
from dataclasses import dataclass

_MOST_RECORDS = 16


@dataclass(frozen=True, slots=True)
class Violation:
    """`rule` names the promise; `records` are those of the evidence that contradict it."""

    rule: str
    what: str
    records: tuple[object, ...] = ()

    def __str__(self) -> str:
        shown = [f"    {_shown(record)}" for record in self.records[:_MOST_RECORDS]]
        if len(self.records) > _MOST_RECORDS:
            shown.append(f"    … and {len(self.records) - _MOST_RECORDS} more")
        return "\n".join([f"{self.rule}: {self.what}", *shown])


def _shown(record: object) -> str:
    """Return a record in one line, without what is empty."""
    if not dataclasses.is_dataclass(record):
        return repr(record)
    values = {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}
    facts = [f"{name}={_value(value)}" for name, value in values.items() if value not in (None, "")]
    return f"{type(record).__name__} {' '.join(facts)}"


def _value(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()[:8]
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, dict):
        return str({name: value[name] for name in _TELLING if name in value})
    return repr(value)


_TELLING = ("cache-status", "idempotent-replayed", "retry-after")
