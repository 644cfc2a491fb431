"""Ask until somebody answers: never longer than the deadline, never blindly twice for money."""

import random
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar

import backoff

from askonce.core.answers import Answer, Delta, Finished
from askonce.core.clock import Clock, Deadline
from askonce.core.errors import (
    BudgetExceededError,
    InputTooLongError,
    ProviderCircuitOpenError,
    ProviderError,
    ProviderExhaustedError,
    ProviderRejectedError,
    ProviderUnavailableError,
    UnknownProviderError,
)
from askonce.core.ports import Journal, Provider
from askonce.core.questions import Question
from askonce.providers.circuit import Circuits
from askonce.providers.failures import cut
from askonce.providers.telling import Call, told
from askonce.telemetry.meters import UNMETERED, Meters

FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 8.0

T = TypeVar("T")


class ProviderChain:
    """All configured providers, each asked again while that may help, then the fallbacks.

    `fallbacks` has the models of those that are asked where the question's own provider cannot,
    in this order.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        fallbacks: Mapping[str, str],
        circuits: Circuits,
        max_tries: int,
        clock: Clock,
        random: random.Random,
        meters: Meters = UNMETERED,
    ) -> None:
        self._meters = meters
        self._providers = dict(providers)
        self._fallbacks = dict(fallbacks)
        self._circuits = circuits
        self._max_tries = max_tries
        self._clock = clock
        self._random = random

    def complete(self, question: Question, deadline: Deadline, journal: Journal) -> Answer:
        """Return the answer of the first try that succeeds; its attempt is left open in `journal`.

        Raises:
            ProviderExhaustedError: every try failed, or the deadline had passed before the first.
            ProviderCircuitOpenError: nobody was tried, as all are being left alone.
            ProviderRejectedError, InputTooLongError: as the question's own provider's.
            LeaseLostError: as the journal's.
            UnknownProviderError: the question's provider is not configured.
        """
        return self._asked(question, deadline, journal, _Tries.once)

    def once(self, question: Question, deadline: Deadline, journal: Journal) -> Answer:
        """Return the answer of a single try at the question's own provider.

        Raises:
            ProviderExhaustedError: it failed.
            ProviderCircuitOpenError: it is being left alone.
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

        What went out cannot be called back: no try follows one that has yielded something, at
        this provider or another.
        """
        first, rest = self._asked(question, deadline, journal, _Tries.begun)
        with closing(rest):
            yield first
            try:
                yield from rest
            except ProviderUnavailableError as error:
                raise _exhausted(error) from error

    def most_calls(self, question: Question) -> int:
        """Return how many calls may be made for a question, at all providers together."""
        return self._max_tries * len({question.provider, *self._fallbacks})

    def _asked(
        self,
        question: Question,
        deadline: Deadline,
        journal: Journal,
        once: Callable[["_Tries"], T],
    ) -> T:
        """Ask the question's own provider, then the fallbacks, each until nothing more helps."""
        own = self._tries(question, deadline, journal)
        others = [
            self._tries(replace(question, provider=name, model=model), deadline, journal)
            for name, model in self._fallbacks.items()
            if name != question.provider
        ]
        if deadline.has_passed():
            raise own.too_late()
        exhausted: ProviderExhaustedError | None = None
        left_alone: list[ProviderCircuitOpenError] = []
        in_order = [own, *others]
        for tries in in_order:
            if tries is not own and deadline.has_passed():
                break
            try:
                return self._retried(tries, partial(once, tries), is_last=tries is in_order[-1])
            except ProviderExhaustedError as error:
                exhausted = error
            except ProviderCircuitOpenError as error:
                left_alone.append(error)
                if tries is own:
                    own.not_made(error)
            except (ProviderRejectedError, InputTooLongError, BudgetExceededError):
                # That a fallback cannot take the question, or costs more than may be spent, must
                # not be reported as final: another one may take it, or cost nothing.
                if tries is own:
                    raise
        raise exhausted or min(left_alone, key=lambda error: error.retry_after)

    def _tries(self, question: Question, deadline: Deadline, journal: Journal) -> "_Tries":
        provider = self._providers.get(question.provider)
        if provider is None:
            raise UnknownProviderError(question.provider)
        return _Tries(
            provider=provider,
            question=question,
            deadline=deadline,
            journal=journal,
            circuits=self._circuits,
            clock=self._clock,
            meters=self._meters,
        )

    def _retried(self, tries: "_Tries", once: Callable[[], T], *, is_last: bool) -> T:
        """Try one provider until it succeeds or no other try makes sense."""
        until = tries.deadline
        if not is_last:
            # The next provider gets time to answer in, too.
            until = until.no_later_than(until.remaining() / 2)

        # backoff would call a callable argument of the generator, so it gets none.
        def waits() -> Generator[float, Any, None]:
            return self._waits(until)

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
        except (ProviderCircuitOpenError, BudgetExceededError) as error:
            if tries.failure is None:
                raise
            # Others made it open, or spent what was left, while we waited for our next try.
            raise _exhausted(tries.failure) from error

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
    circuits: Circuits
    clock: Clock
    meters: Meters
    failure: ProviderUnavailableError | None = field(default=None, init=False)
    _may_be_paid: bool = field(default=False, init=False)

    def once(self) -> Answer:
        with self._call() as call:
            call.answer = self.provider.complete(self.question, self.deadline)
            return call.answer

    def begun(self) -> tuple[Delta | Finished, Generator[Delta | Finished, None, None]]:
        """Return the first event of a stream, and the others to come."""
        events = self._events()
        return next(events), events

    def too_late(self) -> ProviderError:
        """Return the error of a question that waited too long to be asked at all."""
        late = ProviderExhaustedError(self.provider.name, "deadline")
        self.not_made(late)
        return late

    def not_made(self, error: ProviderError) -> None:
        """Close the intent of a first call, which was written before anybody knew better."""
        self.journal.open(self.provider.name, self.question.model)
        self.journal.failed(error)

    def are_over_after(self, error: Exception) -> bool:
        """Return whether no other try may be made here.

        The answer may have been bought before the failed try, or the provider is left alone now.
        """
        if self._may_be_paid or self.circuits.refuses(self.provider.name, self.question.model):
            return True
        self._may_be_paid = isinstance(error, ProviderUnavailableError) and error.may_be_paid
        return False

    def _events(self) -> Generator[Delta | Finished, None, None]:
        blank = ""
        has_begun = False
        with self._call() as call:
            for event in self.provider.stream(self.question, self.deadline):
                if isinstance(event, Finished):
                    finished = event
                    call.answer = event.answer
                    break
                # Held back until the first word: an answer of blanks alone is worth another try.
                if has_begun or event.text.strip():
                    yield event if has_begun else Delta(blank + event.text)
                    has_begun = True
                else:
                    blank += event.text
            else:
                raise cut(self.provider.name)
        # Outside: whoever reads no further has the answer, and the call has succeeded.
        yield finished

    @contextmanager
    def _call(self) -> Iterator[Call]:
        """Make a call in the block: let through before it, in the journal before it and after."""
        name, model = self.provider.name, self.question.model
        with self.circuits.call(name, model):
            self.journal.open(name, model)
            try:
                with told(name, self.question, clock=self.clock, meters=self.meters) as call:
                    yield call
            except ProviderError as error:
                if isinstance(error, ProviderUnavailableError):
                    self.failure = error
                self.journal.failed(error)
                raise
            except (GeneratorExit, Exception) as error:
                # Nobody reads on, or a fault of ours: what it cost will not be known.
                reason = "abandoned" if isinstance(error, GeneratorExit) else "internal error"
                self.journal.failed(ProviderUnavailableError(name, reason, may_be_paid=True))
                raise


def _exhausted(error: ProviderUnavailableError) -> ProviderExhaustedError:
    return ProviderExhaustedError(error.provider, error.reason, retry_after=error.retry_after)
