"""One user asking one question at one time."""

from dataclasses import dataclass, field

from askonce.core.access import Asker
from askonce.core.caching import CacheRules
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
