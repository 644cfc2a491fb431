"""When a provider says "not before", believe it, and believe nothing else."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds to wait, or None where nothing usable is said.

    `retry-after-ms` is more exact than `Retry-After` (RFC 9110 section 10.2.3: seconds or a date)
    and wins. `headers` must ignore case.
    """
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _seconds(value)
    return _until(value, now) if seconds is None else seconds


def _seconds(value: str) -> float | None:
    if not _NUMBER.fullmatch(value.strip()):
        return None
    # Zero says nothing that our own backoff would not do better.
    return float(value) or None


def _until(value: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
        # "-0000" is UTC of unknown origin (RFC 5322 section 3.3), and comes without a time zone.
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (aware - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return seconds if seconds > 0 else None
