"""One user asking one question at one time."""

from dataclasses import dataclass, field
from functools import lru_cache

from askonce.core.access import Asker
from askonce.core.caching import CacheRules
from askonce.core.limits import Subject
from askonce.core.questions import Question, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A question with who asks it, and which kept answers will do.

    `fingerprint` is that of the question within the walls that answers are shared in.
    """

    question: Question
    fingerprint: bytes = field(repr=False)
    asker: Asker
    rules: CacheRules
    is_streamed: bool = False

    @classmethod
    def of(
        cls,
        question: Question,
        asker: Asker,
        scope: Scope,
        *,
        rules: CacheRules,
        is_streamed: bool = False,
    ) -> "Request":
        return cls(
            question=question,
            fingerprint=question.fingerprint(scope),
            asker=asker,
            rules=rules,
            is_streamed=is_streamed,
        )

    @property
    def counted_for(self) -> tuple[Subject, ...]:
        """Whose requests this one is counted with."""
        return counted_for(self.asker.tenant, self.asker.key_id, self.asker.user_id)


@dataclass(frozen=True, slots=True)
class Visit:
    """A request that asks nothing: it is only counted."""

    counted_for: tuple[Subject, ...]


# Each hit asks for it, most often for somebody who has asked before.
@lru_cache(maxsize=4096)
def counted_for(tenant: str, key_id: int | None, user_id: str | None) -> tuple[Subject, ...]:
    """Return whose requests one of a key, for a user or for none, is counted with."""
    key = Subject.key(tenant, key_id)
    return (key,) if user_id is None else (key, Subject.user(tenant, user_id))
