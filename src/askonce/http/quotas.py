"""Tells clients how often they may ask.

The fields are those of draft-ietf-httpapi-ratelimit-headers-11, as structured fields (RFC 9651).
"""

from collections.abc import Sequence
from typing import Any

from askonce.core.limits import Quotas

POLICY_HEADER = "RateLimit-Policy"
HEADER = "RateLimit"

DOCUMENTED: dict[str, Any] = {
    POLICY_HEADER: {
        "description": (
            "Where a limit is set: how many requests (`q`) each key and each user may make in a"
            ' window of `w` seconds: `"key-minute";q=120;w=60, "user-minute";q=120;w=60`'
        ),
        "schema": {"type": "string"},
    },
    HEADER: {
        "description": (
            "Where a limit is set: how many requests are left (`r`), and in how many seconds (`t`)"
            ' all are there again, or one where none is left: `"user-minute";r=119;t=1`'
        ),
        "schema": {"type": "string"},
    },
}


def headers(quotas: Quotas) -> Sequence[tuple[bytes, bytes]]:
    """Return what an answer says of quotas; nothing without any."""
    if not quotas:
        return ()
    policy = ", ".join(
        f'"{one.kind}-{one.rate.period}";q={one.rate.count};w={one.rate.seconds}' for one in quotas
    )
    left = ", ".join(
        f'"{one.kind}-{one.rate.period}";r={one.remaining};t={one.seconds}' for one in quotas
    )
    return (
        (POLICY_HEADER.lower().encode(), policy.encode()),
        (HEADER.lower().encode(), left.encode()),
    )
