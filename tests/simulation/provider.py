"""A provider whose calls take virtual time, and whose every answer is its own."""

from collections.abc import Iterator
from itertools import count

from askonce.core.answers import Answer, Delta, Finished, FinishReason
from askonce.core.clock import Deadline
from askonce.core.errors import ProviderRejectedError, ProviderUnavailableError
from askonce.core.ports import Chain, Journal
from askonce.core.questions import Question
from askonce.services.leading import LedgerJournal
from tests.simulation.database import Disk
from tests.simulation.faults import Faults, Point
from tests.simulation.history import CallBegan, CallEnded
from tests.simulation.process import Process
from tests.simulation.tasks import Task, current

NAME = "fake"


class SimulatedProvider:
    """Implements the port `Provider` for one process."""

    name: str = NAME

    def __init__(self, process: Process, disk: Disk, faults: Faults, numbers: "count[int]") -> None:
        self.journals: dict[Task, LedgerJournal] = {}
        self._process = process
        self._disk = disk
        self._faults = faults
        self._numbers = numbers

    def complete(self, question: Question, deadline: Deadline) -> Answer:
        process, random = self._process, self._process.world.random
        self._faults.strike(process, Point.CALLING)
        call = next(self._numbers)
        number = int(question.text)
        intent = self._disk.tables.intent(self.journals[current()].attempt_id)
        process.note(CallBegan(process.world.now, call, process.name, number, intent))
        seconds = random.choice([0.05, 0.3, 1.0, 3.0]) * random.random()
        fails = self._faults.fails_call()
        process.wait(min(seconds, max(0.0, deadline.remaining())))
        try:
            if deadline.has_passed():
                raise ProviderUnavailableError(NAME, "timeout", may_be_paid=True)
            if fails:
                raise random.choice(
                    [
                        ProviderUnavailableError(NAME, "http-503"),
                        ProviderUnavailableError(NAME, "cut", may_be_paid=True),
                        ProviderRejectedError(NAME, "http-401"),
                    ]
                )
        except (ProviderUnavailableError, ProviderRejectedError) as error:
            process.note(CallEnded(process.world.now, call, error.reason))
            raise
        process.note(CallEnded(process.world.now, call, None))
        self._faults.strike(process, Point.ANSWERED)
        return Answer(
            text=f"{number}: answer {call}",
            provider=NAME,
            model=question.model,
            finish_reason=FinishReason.STOP if random.random() < 0.95 else FinishReason.LENGTH,
            tokens_in=1,
            tokens_out=1,
            cost=None,
        )

    def stream(self, question: Question, deadline: Deadline) -> Iterator[Delta | Finished]:
        yield Finished(self.complete(question, deadline))


class JournalledChain:
    """The product's chain; tells the provider which attempt each call belongs to."""

    def __init__(self, chain: Chain, provider: SimulatedProvider) -> None:
        self._chain = chain
        self._provider = provider

    def complete(self, question: Question, deadline: Deadline, journal: Journal) -> Answer:
        if not isinstance(journal, LedgerJournal):
            raise TypeError(f"{journal!r} has no attempt's id")
        self._provider.journals[current()] = journal
        try:
            return self._chain.complete(question, deadline, journal)
        finally:
            del self._provider.journals[current()]

    def stream(
        self, question: Question, deadline: Deadline, journal: Journal
    ) -> Iterator[Delta | Finished]:
        yield Finished(self.complete(question, deadline, journal))
