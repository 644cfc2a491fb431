"""How a session goes on: who is asked, with what, and how much fits."""

from dataclasses import dataclass, replace
from typing import Protocol

from askonce.core.access import Caller
from askonce.core.caching import CacheRules
from askonce.core.context import Window
from askonce.core.conversations import Session
from askonce.core.preferences import NO_WISHES, Wishes
from askonce.core.questions import Scope
from askonce.services.defaults import Chosen, Defaults
from askonce.services.preferences import Preferences


class Windows(Protocol):
    """How much each model takes."""

    def tokens(self, provider: str, model: str) -> int:
        """Return a model's window in tokens, its prompt and its answer together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A session, its speaker, who is asked, and how. `room` is the model's window in tokens."""

    caller: Caller
    session: Session
    chosen: Chosen
    rules: CacheRules
    scope: Scope
    room: int

    def window(self) -> Window:
        return Window(
            tokens=self.room,
            max_output=self.chosen.max_output_tokens,
            instructions=self.chosen.instructions,
        )

    def smaller(self, shown: int | None) -> "Talk":
        """Return the talk with a model that says that so many tokens are too many for it."""
        return replace(self, room=self.window().smaller_than(shown))


class Talks:
    """Fills in what a request leaves open: from its session, its user, the settings."""

    def __init__(
        self,
        *,
        preferences: Preferences,
        defaults: Defaults,
        windows: Windows,
        is_scope_user: bool,
    ) -> None:
        self._preferences = preferences
        self._defaults = defaults
        self._windows = windows
        self._is_scope_user = is_scope_user

    def of(
        self, caller: Caller, session: Session, rules: CacheRules, wishes: Wishes = NO_WISHES
    ) -> Talk:
        """Return how a caller goes on with a session.

        Raises:
            UnknownProviderError, InvalidFieldsError: as `Defaults.chosen`.
        """
        of_session = Wishes(
            provider=session.provider, model=session.model, instructions=session.instructions
        )
        of_user = self._preferences.of(session.tenant, session.user_id)
        chosen = self._defaults.chosen(wishes, of_session, of_user)
        user_id = session.user_id if self._is_scope_user else None
        return Talk(
            caller=caller,
            session=session,
            chosen=chosen,
            rules=rules,
            scope=Scope(tenant=session.tenant, user_id=user_id),
            room=self._windows.tokens(chosen.provider, chosen.model),
        )
