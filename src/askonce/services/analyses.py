"""Analyses: asking, listing, reading and deleting them."""

from dataclasses import dataclass, field
from typing import Any

from askonce.core.access import Asker, Caller
from askonce.core.answers import Analysis
from askonce.core.caching import CacheRules
from askonce.core.clock import Clock
from askonce.core.errors import (
    FieldError,
    InvalidFieldsError,
    NotFoundError,
)
from askonce.core.events import Action
from askonce.core.idempotency import IdempotencyKey
from askonce.core.ports import Database, HistoryFilter, Ledger, Page, Transaction
from askonce.core.preferences import NO_WISHES, Wishes
from askonce.core.questions import Question, Scope
from askonce.core.requests import Request
from askonce.core.schemas import SchemaRefusedError
from askonce.services.booking import Reads, done
from askonce.services.defaults import Defaults
from askonce.services.structured import checked_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A question as it came: what is None is filled in from the defaults."""

    text: str = field(repr=False)
    provider: str | None = None
    model: str | None = None
    instructions: str | None = field(default=None, repr=False)
    output_schema: dict[str, Any] | None = field(default=None, repr=False)
    max_output_tokens: int | None = None

    def wishes(self) -> Wishes:
        """Return what the draft says beside its text."""
        return Wishes(
            provider=self.provider,
            model=self.model,
            instructions=self.instructions,
            max_output_tokens=self.max_output_tokens,
        )


class Analyses:
    """What users do with analyses."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        defaults: Defaults,
        reads: Reads,
        clock: Clock,
        is_scope_user: bool,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._defaults = defaults
        self._reads = reads
        self._clock = clock
        self._is_scope_user = is_scope_user

    def request(
        self,
        caller: Caller,
        user_id: str,
        question: Question,
        *,
        rules: CacheRules,
        key: IdempotencyKey | None = None,
        is_streamed: bool = False,
    ) -> Request:
        """Return what `AskOnce` is to be asked for a user."""
        return Request.of(
            question,
            Asker.of(caller, user_id, key=key),
            self.scope(caller, user_id),
            rules=rules,
            is_streamed=is_streamed,
        )

    def scope(self, caller: Caller, user_id: str) -> Scope:
        """Return within which walls a user's answers are shared."""
        return Scope(tenant=caller.tenant, user_id=user_id if self._is_scope_user else None)

    def question(self, draft: Draft, preferred: Wishes = NO_WISHES) -> Question:
        """Return the draft with everything filled in that it left open.

        Raises:
            UnknownProviderError: the draft names a provider that is not configured.
            InvalidFieldsError: the model or the schema cannot be used.
        """
        chosen = self._defaults.chosen(draft.wishes(), preferred)
        return Question(
            text=draft.text,
            provider=chosen.provider,
            model=chosen.model,
            instructions=chosen.instructions,
            output_schema=_checked(draft.output_schema),
            max_output_tokens=chosen.max_output_tokens,
            fallbacks=chosen.fallbacks,
        )

    def one(self, caller: Caller, user_id: str, analysis_id: int) -> Analysis:
        """Return one analysis.

        Raises:
            NotFoundError: there is none, or it is not the caller's.
        """
        with self._database.reading() as tx:
            found = tx.analyses.one(caller, user_id, analysis_id)
        if found is None:
            raise NotFoundError
        self._reads.book(caller, Action.HISTORY_READ, user_id=user_id, analysis=analysis_id)
        return found

    def newest(self, caller: Caller, user_id: str, wanted: HistoryFilter) -> Page:
        """Return one keyset page of a user's history."""
        with self._database.reading() as tx:
            page = tx.analyses.newest(caller, user_id, wanted)
        self._reads.book(caller, Action.HISTORY_READ, user_id=user_id, analyses=len(page.items))
        return page

    def remove(self, caller: Caller, analysis_id: int) -> None:
        """Delete one analysis; with its last use, the answer and its cache entry too.

        Raises:
            NotFoundError: there is none, or it is not the caller's.
        """

        def remove(tx: Transaction) -> bool:
            user_id = tx.analyses.remove(caller, analysis_id)
            if user_id is None:
                return False
            tx.book(
                done(
                    caller,
                    Action.HISTORY_DELETE,
                    at=self._clock.now(),
                    user_id=user_id,
                    analysis=analysis_id,
                )
            )
            return True

        if not self._ledger.write(remove).result():
            raise NotFoundError


def _checked(schema: dict[str, Any] | None) -> str | None:
    if schema is None:
        return None
    try:
        return checked_schema(schema)
    except SchemaRefusedError as error:
        raise InvalidFieldsError(FieldError("output_schema", str(error))) from error
