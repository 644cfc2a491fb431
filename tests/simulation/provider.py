"""A provider whose calls take virtual time, and whose every answer is its own."""

from collections.abc import Iterator, Sequence
from itertools import count

from askonce.core.answers import Answer, Delta, Finished, FinishReason
from askonce.core.clock import Deadline
from askonce.core.errors import (
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.ports import Journal
from askonce.core.questions import Question
from askonce.providers.chain import ProviderChain
from askonce.providers.circuit import Circuits
from askonce.services.leading import LedgerJournal
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.history import CallBegan, CallEnded
from tests.simulation.kinds import Point
from tests.simulation.process import Process
from tests.simulation.tasks import Task, current

NAME = "fake"
MAX_TRIES = 3


def a_question(number: int) -> Question:
    """Return one of the questions that are asked here."""
    return Question(text="?", provider=NAME, model=str(number), max_output_tokens=1)


class SimulatedProvider:
    """Implements the port `Provider` for one process."""

    name: str = NAME

    def __init__(
        self,
        process: Process,
        disk: Disk,
        faults: Faults,
        *,
        numbers: "count[int]",
        seconds: Sequence[float],
    ) -> None:
        self.journals: dict[Task, LedgerJournal] = {}
        self._process = process
        self._disk = disk
        self._faults = faults
        self._numbers = numbers
        self._seconds = seconds

    def complete(self, question: Question, deadline: Deadline) -> Answer:
        for event in self.stream(question, deadline):
            if isinstance(event, Finished):
                return event.answer
        raise AssertionError("a stream ends with Finished")

    def stream(self, question: Question, deadline: Deadline) -> Iterator[Delta | Finished]:
        process, random = self._process, self._process.world.random
        self._faults.strike(process, Point.CALLING)
        call = self._begun(question)
        error = self._failure() if self._faults.fails_call() else None
        process.wait(min(self._thinking(), max(0.0, deadline.remaining())))
        if deadline.has_passed():
            error = ProviderUnavailableError(NAME, "timeout", may_be_paid=True)
        if error is not None:
            process.note(CallEnded(process.world.now, call, error.reason))
            raise error
        text = f"{question.model}: answer {call}"
        yield Delta(text)
        process.note(CallEnded(process.world.now, call, None))
        self._faults.strike(process, Point.ANSWERED)
        is_whole = random.random() < 0.95
        yield Finished(
            Answer(
                text=text,
                provider=NAME,
                model=question.model,
                finish_reason=FinishReason.STOP if is_whole else FinishReason.LENGTH,
                tokens_in=1,
                tokens_out=1,
                cost=None,
            )
        )

    def _begun(self, question: Question) -> int:
        process, call = self._process, next(self._numbers)
        intent = self._disk.tables.intent(self.journals[current()].attempt_id)
        process.note(CallBegan(process.world.now, call, process.name, int(question.model), intent))
        return call

    def _thinking(self) -> float:
        random = self._process.world.random
        # What is asked when all is over is only asked to see that it can be answered.
        longest = 0.1 if self._faults.are_over else random.choice(self._seconds)
        return longest * random.uniform(0.5, 1.0)

    def _failure(self) -> ProviderError:
        return self._process.world.random.choice(
            [
                ProviderUnavailableError(NAME, "http-503"),
                ProviderUnavailableError(NAME, "cut", may_be_paid=True),
                ProviderRejectedError(NAME, "http-401"),
            ]
        )


class JournalledChain(ProviderChain):
    """The product's chain; tells the provider which attempt each call belongs to."""

    def __init__(self, process: Process, provider: SimulatedProvider) -> None:
        super().__init__(
            {NAME: provider},
            fallbacks={},
            circuits=Circuits(failures=20, seconds=30.0, clock=process.clock),
            max_tries=MAX_TRIES,
            clock=process.clock,
            random=process.world.random,
        )
        self._provider = provider

    def complete(self, question: Question, deadline: Deadline, journal: Journal) -> Answer:
        self._remember(journal)
        return super().complete(question, deadline, journal)

    def once(self, question: Question, deadline: Deadline, journal: Journal) -> Answer:
        self._remember(journal)
        return super().once(question, deadline, journal)

    def stream(
        self, question: Question, deadline: Deadline, journal: Journal
    ) -> Iterator[Delta | Finished]:
        self._remember(journal)
        return super().stream(question, deadline, journal)

    def _remember(self, journal: Journal) -> None:
        if not isinstance(journal, LedgerJournal):
            raise TypeError(f"{journal!r} does not tell its attempt")
        self._provider.journals[current()] = journal
