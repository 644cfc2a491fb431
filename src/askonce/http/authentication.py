"""Reads from a request's headers who sent it."""

import re
from functools import lru_cache

from askonce.core.access import Caller
from askonce.core.addresses import is_loopback
from askonce.core.errors import UnauthenticatedError
from askonce.http.middleware import Headers
from askonce.services.access import Access

_KEY = re.compile(rb"(ask_[A-Za-z0-9_-]{43})")
# The scheme's spelling does not count (RFC 9110 section 11.1).
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +" + _KEY.pattern)
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::[0-9]{1,5})?")


class Authentication:
    """Knows callers by the headers of their requests, without waiting for anything."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def caller(self, headers: Headers, request_id: str) -> Caller:
        """Return who sent a request; no other header than those of keys (and Host) counts.

        Raises:
            UnauthenticatedError: the key is not good, or one is needed.
            DatabaseUnavailableError: it is not known any more which keys are good.
        """
        key = _key(headers)
        # A page from anywhere can have its own name lead to this machine (DNS rebinding), and then
        # be read by its visitor's browser. What it cannot do is to send another Host.
        if key is None and self._access.is_keyless and not _is_for_loopback(headers):
            raise UnauthenticatedError
        return self._access.caller(key, request_id)


def _key(headers: Headers) -> bytes | None:
    """Return the one key that a request came with, if it came with one.

    Raises:
        UnauthenticatedError: it is none of ours, or there are two.
    """
    key: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            match = _BEARER.fullmatch(value)
        elif name == b"x-api-key":
            match = _KEY.fullmatch(value)
        else:
            continue
        if match is None or (key is not None and key != match[1]):
            raise UnauthenticatedError
        key = match[1]
    return key


def _is_for_loopback(headers: Headers) -> bool:
    hosts = [value for name, value in headers if name == b"host"]
    return len(hosts) == 1 and is_loopback_name(hosts[0])


@lru_cache(maxsize=64)
def is_loopback_name(host: bytes) -> bool:
    """Return whether a Host header names this machine itself."""
    match = _HOST.fullmatch(host.decode("latin-1"))
    if match is None:
        return False
    name = match[1] or match[2]
    return name.lower() == "localhost" or is_loopback(name)
