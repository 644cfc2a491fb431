"""What a provider may say about when to come back, and what of it is believed."""

from datetime import UTC, datetime

import pytest

from askonce.providers.retry_after import retry_after

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"retry-after": "7"}, 7, id="seconds"),
        pytest.param({"retry-after": " 7.5 "}, 7.5, id="part of a second"),
        pytest.param({"retry-after-ms": "250"}, 0.25, id="milliseconds"),
        pytest.param({"retry-after-ms": "250", "retry-after": "9"}, 0.25, id="milliseconds win"),
        pytest.param({"retry-after-ms": "x", "retry-after": "9"}, 9, id="bad milliseconds"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT"}, 30, id="date"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 10:00:30 -0000"}, 30, id="date, no zone"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 09:59:00 GMT"}, None, id="past date"),
        pytest.param({"retry-after": "Sat, 99 Nov 2026 09:59:00 GMT"}, None, id="no such date"),
        pytest.param({"retry-after": "Sat, 21 Nov 99999 09:59:00 GMT"}, None, id="far date"),
        pytest.param({}, None, id="nothing"),
        pytest.param({"retry-after": ""}, None, id="empty"),
        pytest.param({"retry-after": "0"}, None, id="zero"),
        pytest.param({"retry-after": "-5"}, None, id="negative"),
        pytest.param({"retry-after": "nan"}, None, id="not a number"),
        pytest.param({"retry-after": "inf"}, None, id="infinite"),
        pytest.param({"retry-after": "1e3"}, None, id="exponent"),
        pytest.param({"retry-after": "٣"}, None, id="foreign digits"),
        pytest.param({"retry-after": "9" * 5000}, None, id="longer than any wait"),
        pytest.param({"retry-after": "soon"}, None, id="words"),
    ],
)
def test_believes_positive_seconds_milliseconds_and_dates_only(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, NOW) == seconds
