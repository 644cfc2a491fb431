"""What the log's line of a request says of it, gathered while it is served."""

import hashlib
import secrets
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from askonce.core.access import Caller
from askonce.core.landings import Asked

Facts = dict[str, Any]

_of_this_request: ContextVar[Facts | None] = ContextVar("facts", default=None)


def begin() -> Facts:
    """Return what is going to be told of the request that this task serves."""
    facts: Facts = {}
    _of_this_request.set(facts)
    return facts


def tell(facts: Facts) -> None:
    """Tell something of the request that this task serves."""
    told = _of_this_request.get()
    if told is not None:
        told.update(facts)


def tell_of_caller(caller: Caller, user_id: str | None) -> None:
    """Tell whose request this is: `user_id` is the user in its path, if there is one."""
    tell({"tenant": caller.tenant})
    if user_id is not None:
        tell({"user": digest(caller.tenant, user_id)})


def of_asked(asked: Asked) -> Facts:
    """Return what is told of an answer: where it came from and what it took, never what it says."""
    facts: Facts = {"way": asked.way.value, "cached": asked.given.cached}
    answer = asked.given.answer
    if answer is not None:
        facts["provider"] = answer.provider
        facts["model"] = answer.model
        facts["tokens_in"] = answer.tokens_in
        facts["tokens_out"] = answer.tokens_out
    if asked.phases is not None:
        facts["ms_queue"] = milliseconds(asked.phases.queue)
        facts["ms_provider"] = milliseconds(asked.phases.provider)
        facts["ms_ledger"] = milliseconds(asked.phases.ledger)
    return facts


class _Salt:
    """Without it nobody can tell from a log who the users are, by trying likely names."""

    key = b""


def salt(given: str | None) -> None:
    """Digest users with this from now on; without one with a random one, until the next start."""
    _Salt.key = secrets.token_bytes(32) if given is None else given.encode()[:64]
    digest.cache_clear()


@lru_cache(maxsize=10_000)
def digest(tenant: str, user_id: str) -> str:
    """Return what stands for a user in the log: the same user has the same one, by one salt."""
    user = f"{tenant}\0{user_id}".encode()
    return hashlib.blake2b(user, digest_size=8, key=_Salt.key).hexdigest()


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
