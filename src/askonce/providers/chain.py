"""Ask until somebody answers: never longer than the deadline, never blindly twice for money."""

import random
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import backoff

from askonce.core.answers import Answer, Delta, Finished
from askonce.core.clock import Clock, Deadline
from askonce.core.errors import (
    ProviderError,
    ProviderExhaustedError,
    ProviderUnavailableError,
    UnknownProviderError,
)
from askonce.core.ports import Journal, Provider
from askonce.core.questions import Question

FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 8.0

T = TypeVar("T")


class ProviderChain:
    """All configured providers, each asked again while that may help."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        max_tries: int,
        clock: Clock,
        random: random.Random,
    ) -> None:
        self._providers = dict(providers)
        self._max_tries = max_tries
        self._clock = clock
        self._random = random

    def complete(self, question: Question, deadline: Deadline, journal: Journal) -> Answer:
        """Return the answer of the first try that succeeds; its attempt is left open in `journal`.

        Raises:
            ProviderExhaustedError: every try failed, or the deadline had passed before the first.
            ProviderRejectedError, InputTooLongError: as the provider's own.
            LeaseLostError: as the journal's.
            UnknownProviderError: the question's provider is not configured.
        """
        tries = self._tries(question, deadline, journal)
        return self._retried(tries, tries.once)

    def once(self, question: Question, deadline: Deadline, journal: Journal) -> Answer:
        """Return the answer of a single try at the question's own provider.

        Raises:
            ProviderExhaustedError: it failed.
            ProviderRejectedError, InputTooLongError: as the provider's own.
        """
        try:
            return self._tries(question, deadline, journal).once()
        except ProviderUnavailableError as error:
            raise _exhausted(error) from error

    def stream(
        self, question: Question, deadline: Deadline, journal: Journal
    ) -> Iterator[Delta | Finished]:
        """Yield the answer of the first try that yields anything; raises as `complete` does.

        What went out cannot be called back: no try follows one that has yielded something.
        """
        tries = self._tries(question, deadline, journal)
        first, rest = self._retried(tries, tries.begun)
        yield first
        try:
            yield from rest
        except ProviderUnavailableError as error:
            raise _exhausted(error) from error

    def _tries(self, question: Question, deadline: Deadline, journal: Journal) -> "_Tries":
        provider = self._providers.get(question.provider)
        if provider is None:
            raise UnknownProviderError(question.provider)
        return _Tries(provider=provider, question=question, deadline=deadline, journal=journal)

    def _retried(self, tries: "_Tries", once: Callable[[], T]) -> T:
        """Try one provider until it succeeds or no other try makes sense."""
        deadline = tries.deadline
        if deadline.has_passed():
            raise tries.too_late()

        # backoff would call a callable argument of the generator, so it gets none.
        def waits() -> Generator[float, Any, None]:
            return self._waits(deadline)

        retrying = backoff.on_exception(
            waits,
            ProviderUnavailableError,
            max_tries=self._max_tries,
            giveup=tries.are_over_after,
            jitter=None,  # a provider's retry-after must not be shortened
            logger=None,
        )(once)
        try:
            return retrying()
        except ProviderUnavailableError as error:
            raise _exhausted(error) from error

    def _waits(self, deadline: Deadline) -> Generator[float, Any, None]:
        """Wait between tries through our own clock, and end where a wait would pass the deadline.

        backoff itself then sleeps for the zero seconds that are yielded.
        """
        error: ProviderUnavailableError = yield 0.0  # the start; backoff drops the value
        longest = FIRST_WAIT_SECONDS
        while True:
            wait = error.retry_after
            if wait is None:
                wait = self._random.uniform(0, min(longest, LONGEST_WAIT_SECONDS))
            if wait >= deadline.remaining():
                return
            longest *= 2
            self._clock.sleep(wait)
            error = yield 0.0


@dataclass(slots=True, kw_only=True)
class _Tries:
    """The tries of one question at one provider, each in the journal before it is made."""

    provider: Provider
    question: Question
    deadline: Deadline
    journal: Journal
    _may_be_paid: bool = field(default=False, init=False)

    def once(self) -> Answer:
        self.journal.open(self.provider.name, self.question.model)
        try:
            return self.provider.complete(self.question, self.deadline)
        except ProviderError as error:
            self.journal.failed(error)
            raise

    def begun(self) -> tuple[Delta | Finished, Iterator[Delta | Finished]]:
        """Return the first event of a stream, and the others to come."""
        self.journal.open(self.provider.name, self.question.model)
        events = self._journaled(self.provider.stream(self.question, self.deadline))
        return next(events), events

    def too_late(self) -> ProviderError:
        """Return the error of a question that waited too long to be asked at all."""
        late = ProviderExhaustedError(self.provider.name, "deadline")
        self.journal.open(self.provider.name, self.question.model)
        self.journal.failed(late)
        return late

    def _journaled(self, events: Iterator[Delta | Finished]) -> Iterator[Delta | Finished]:
        try:
            yield from events
        except ProviderError as error:
            self.journal.failed(error)
            raise

    def are_over_after(self, error: Exception) -> bool:
        """Return whether the answer may have been bought already before the failed try."""
        if self._may_be_paid:
            return True
        self._may_be_paid = isinstance(error, ProviderUnavailableError) and error.may_be_paid
        return False


def _exhausted(error: ProviderUnavailableError) -> ProviderExhaustedError:
    return ProviderExhaustedError(error.provider, error.reason, retry_after=error.retry_after)
