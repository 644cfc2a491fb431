"""Counts the requests that ask no model, before anything is done for them."""

from collections.abc import Awaitable, Callable

from fastapi import Request

from askonce.core.errors import RateLimitedError
from askonce.core.requests import counted_for
from askonce.http.analyses import PATH
from askonce.http.asking import Asking
from askonce.http.parameters import caller_of

# Whoever watches us is not kept from it; what is analysed is counted where it is looked up.
_NOT_COUNTED = frozenset({"/health", "/ready", "/metrics", PATH})


def counting(asking: Asking) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency of all routes. New ones are counted, unless they are named here.

    A request counts for its key, and for the user whom its path, or else its key, names. It does
    not count for an address, which anybody may make up.
    """

    async def count(request: Request) -> None:
        if request.scope["route"].path in _NOT_COUNTED:
            return
        caller = caller_of(request)
        user_id = request.path_params.get("user_id", caller.user_id)
        recalled = await asking.counted(counted_for(caller.tenant, caller.key_id, user_id))
        if isinstance(recalled.given, RateLimitedError):
            raise recalled.given
        request.scope["state"]["quotas"] = recalled.quotas

    return count
