"""Counts the requests that ask no model, before anything is done for them."""

from fastapi import Request

from askonce.core.access import Caller
from askonce.core.errors import RateLimitedError
from askonce.core.requests import counted_for
from askonce.http.asking import ANALYZE, CONSOLE_ASK, Asking

# These are counted together with their look-up.
_COUNTED_LATER = frozenset({ANALYZE, CONSOLE_ASK})


class Counting:
    """Counts whoever has been let in; others have no name that could be counted.

    A request counts for its key, and for the user whom its path, or else its key, names. It does
    not count for an address: anybody can make one up, or share one with others.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def count(self, request: Request, caller: Caller) -> None:
        """Count a request.

        Raises:
            RateLimitedError: the key or the user asks too often.
        """
        if request.scope["route"].path in _COUNTED_LATER:
            return
        user_id = request.path_params.get("user_id", caller.user_id)
        recalled = await self._asking.visited(counted_for(caller.tenant, caller.key_id, user_id))
        if isinstance(recalled.given, RateLimitedError):
            raise recalled.given
        request.scope["state"]["quotas"] = recalled.quotas
