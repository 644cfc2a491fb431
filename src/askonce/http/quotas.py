"""Tells clients how often they may ask.

The fields are those of draft-ietf-httpapi-ratelimit-headers-11, as structured fields (RFC 9651).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from askonce.core.limits import MICROSECONDS, Quotas, Rate

POLICY_HEADER = "RateLimit-Policy"
HEADER = "RateLimit"
_POLICY_NAME, _NAME = POLICY_HEADER.lower().encode(), HEADER.lower().encode()

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
    policies = [_policy(kind, rate) for kind, rate, _, _ in quotas]
    left = [
        f"{name};r={quota.remaining};t={-(-quota.wait // MICROSECONDS)}"
        for (name, _), quota in zip(policies, quotas, strict=True)
    ]
    return (
        (_POLICY_NAME, ", ".join([policy for _, policy in policies]).encode()),
        (_NAME, ", ".join(left).encode()),
    )


@cache
def _policy(kind: str, rate: Rate) -> tuple[str, str]:
    """Return the name of a policy, and the whole of it."""
    name = f'"{kind}-{rate.period}"'
    return name, f"{name};q={rate.count};w={rate.seconds}"
