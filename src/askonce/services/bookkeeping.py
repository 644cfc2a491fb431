"""Shows the books: what was spent and saved, and the audit trail."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from askonce.core.access import Caller
from askonce.core.books import EventFilter, EventPage
from askonce.core.events import Action
from askonce.core.ports import Database
from askonce.core.usage import GroupBy, UsageFilter, UsageGroup
from askonce.services.booking import Reads


class Books:
    """What may be read of the books, over HTTP."""

    def __init__(self, *, database: Database, reads: Reads) -> None:
        self._database = database
        self._reads = reads

    def usage(
        self,
        caller: Caller,
        user_id: str,
        *,
        since: date | None,
        until: date | None,
        group_by: GroupBy,
    ) -> Sequence[UsageGroup]:
        """Return what a user of the caller's tenant spent and saved, by group."""
        wanted = UsageFilter(
            tenant=caller.tenant, user_id=user_id, since=since, until=until, group_by=group_by
        )
        with self._database.reading() as tx:
            groups = tx.usage.summed(wanted)
        self._reads.book(caller, Action.USAGE_READ, user_id=user_id)
        return groups

    def trail(self, caller: Caller, wanted: EventFilter) -> EventPage:
        """Return one keyset page of the trail of the caller's tenant."""
        with self._database.reading() as tx:
            page = tx.trail.newest(replace(wanted, tenant=caller.tenant))
        self._reads.book(caller, Action.AUDIT_READ, user_id=wanted.user_id, events=len(page.items))
        return page
