"""The doors through which the product reaches providers and the database."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from askonce.core.access import Asker, Caller
from askonce.core.answers import Analysis, Answer, Delta, Finished
from askonce.core.attempts import Attempt, Outcome
from askonce.core.books import Seals, Trail, UsageBooks
from askonce.core.caching import Accepted
from askonce.core.clock import Deadline
from askonce.core.conversations import Message, Session
from askonce.core.erasure import Erasures
from askonce.core.errors import ProviderError
from askonce.core.events import Event
from askonce.core.exports import Exports
from askonce.core.flights import Lease, Seen
from askonce.core.idempotency import IdempotencyKey, Repeat
from askonce.core.keys import Keys
from askonce.core.provider_batches import ProviderBatches
from askonce.core.purchases import Purchase
from askonce.core.questions import Question
from askonce.core.requests import Request
from askonce.core.retention import Gone, Kind, Look
from askonce.core.sign_ins import SignIns
from askonce.core.stores import Budgets, Messages, Preferences, RateLimits, Sessions

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
B_contra = TypeVar("B_contra", contravariant=True)


class Provider(Protocol):
    """A model's vendor, or a model of our own.

    Only `ProviderError`s come out of it. An answer that was cut, is malformed or is empty is an
    error; a refusal and a stop at the token limit are answers.
    """

    name: str

    def complete(self, question: Question, deadline: Deadline) -> Answer:
        """Return the whole answer by `deadline`, which is kept even if bytes trickle in.

        Raises:
            ProviderUnavailableError: worth another try.
            ProviderRejectedError: no other try would help.
            InputTooLongError: the question does not fit the model's context.
        """

    def stream(self, question: Question, deadline: Deadline) -> Iterator[Delta | Finished]:
        """Yield the answer as it is made, `Finished` last; raises as `complete` does."""


class Journal(Protocol):
    """The record of every provider call, written before it is made."""

    def open(self, provider: str, model: str) -> None:
        """Write that a call is about to be made.

        Raises:
            LeaseLostError: another process leads now; the call must not be made.
            BudgetExceededError: nor must it where it could pass a budget.
        """

    def failed(self, error: ProviderError) -> None:
        """Write that the open call gave nothing."""


class Chain(Protocol):
    """All configured providers, with retries and fallbacks."""

    def complete(self, question: Question, deadline: Deadline, journal: Journal) -> Answer:
        """Return the answer of the first try that succeeds; its attempt is left open in `journal`.

        Raises:
            ProviderExhaustedError: every try failed; it is that of the last provider tried.
            ProviderCircuitOpenError: nobody was tried, as all are being left alone.
            ProviderRejectedError, InputTooLongError: as the question's own provider's.
            LeaseLostError: as the journal's.
        """

    def once(self, question: Question, deadline: Deadline, journal: Journal) -> Answer:
        """Return the answer of a single try at the question's own provider.

        Raises:
            ProviderExhaustedError: it failed.
            ProviderCircuitOpenError: it is being left alone.
            ProviderRejectedError, InputTooLongError: as the provider's own.
        """

    def stream(
        self, question: Question, deadline: Deadline, journal: Journal
    ) -> Iterator[Delta | Finished]:
        """Yield an answer as it is made; raises as `complete` does.

        No try follows one that has yielded something: what went out cannot be called back.
        """

    def most_calls(self, question: Question) -> int:
        """Return how many calls may be made for a question, at all providers together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which analyses of a user to list, newest first. No words at all (`()`) are found nowhere."""

    limit: int = 10
    before_id: int | None = None
    provider: str | None = None
    model: str | None = None
    cached: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: tuple[str, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some analyses, newest first; `before_id` is where the next page starts, if there is one.

    With filters a page may hold fewer than were wanted, and there may be more all the same.
    """

    items: Sequence[Analysis]
    before_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A cache entry that was served: the row written for it, and the entry's age limits."""

    analysis: Analysis
    stored_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A cache entry: which answer, and the entry's age limits."""

    answer_id: int
    stored_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Gift:
    """Somebody who is to be given an answer that another request paid for."""

    answer_id: int
    asker: Asker


class Answers(Protocol):
    """What providers said, each once."""

    def keep(
        self, question: Question, answer: Answer, *, tenant: str, fingerprint: bytes, at: datetime
    ) -> Answer:
        """Keep an answer and return it as it will be read from now on."""


class Analyses(Protocol):
    """The history of all users."""

    def add(self, asker: Asker, answer_id: int, *, cached: bool, at: datetime) -> Analysis | None:
        """Write that a user was given an answer; None when the answer has been deleted."""

    def add_paid(
        self, asker: Asker, question: Question, answer: Answer, *, at: datetime
    ) -> Analysis:
        """Write that a user was given an answer that was kept in this very transaction."""

    def share(self, gifts: Sequence[Gift], *, at: datetime) -> Sequence[Analysis | None]:
        """Write that users were given answers that cost them nothing; None as `add` does."""

    def given(self, asker: Asker, answer_id: int) -> Analysis | None:
        """Return the newest history row in which this user was given this answer."""

    def one(self, caller: Caller, user_id: str, analysis_id: int) -> Analysis | None:
        """Return one analysis of a user whom the caller may reach."""

    def newest(self, caller: Caller, user_id: str, wanted: HistoryFilter) -> Page:
        """Return up to `wanted.limit` analyses, the largest id first."""

    def remove(self, caller: Caller, analysis_id: int) -> str | None:
        """Delete one analysis, and with its last use the answer and its cache entry.

        A call in flight for the same question is fenced off, so that it cannot bring back what
        was deleted. Returns whose it was; None when there is no such analysis, or none that the
        caller may reach.
        """


class Flights(Protocol):
    """The questions in flight and the entries that they left."""

    def recall(self, requests: Sequence[Request], *, at: datetime) -> Sequence[Kept | None]:
        """Give each asker a cache entry that will do; None, and no row, without one."""

    def entry(self, fingerprint: bytes, *, tenant: str, accepted: Accepted) -> Entry | None:
        """Return an accepted cache entry, which is not deleted until this transaction ends."""

    def claim(
        self, fingerprint: bytes, *, tenant: str, owner: str, accepted: Accepted
    ) -> Lease | None:
        """Take the lease where nobody leads and no accepted entry stands; else None."""

    def read(self, fingerprints: Iterable[bytes]) -> dict[bytes, Seen]:
        """Return the rows of these questions, as far as there are any."""

    def locked(self, fingerprint: bytes) -> Seen | None:
        """Return a question's row; nobody else changes it until this transaction ends."""

    def beat(self, fingerprints: Sequence[bytes], owner: str) -> None:
        """Show that the leader of all these flights lives."""

    def holds(self, lease: Lease) -> bool:
        """Return whether nobody has acquired the flight since this lease was given."""

    def probe(self, fingerprint: bytes, seen: Seen) -> bool:
        """Write to a silent flight's row; True proves that the database takes writes."""

    def take_over(self, fingerprint: bytes, seen: Seen, *, owner: str) -> Lease | None:
        """Lead in place of a leader that has not beaten since `seen`; None if it has."""

    def give_up(self, fingerprint: bytes, seen: Seen, *, failure: str) -> bool:
        """Fail a flight whose leaders keep dying."""

    def land(
        self, lease: Lease, *, answer_id: int, stored_at: datetime, expires_at: datetime
    ) -> bool:
        """Keep the answer of this lease's epoch; False when it has one, or was purged."""

    def fail(self, lease: Lease, *, failure: str | None) -> bool:
        """End a flight without an answer; `failure` is for those who are waiting."""


class Attempts(Protocol):
    """Every provider call: written before it is made, settled after it."""

    def open(
        self,
        asker: Asker,
        lease: Lease,
        *,
        owner: str,
        provider: str,
        model: str,
        at: datetime,
        is_budgeted: bool = False,
    ) -> int:
        """Write the intent to call a provider, and return the attempt's id.

        `is_budgeted` says that something is held for it, which its end is to settle.
        """

    def settle(
        self,
        attempt_id: int,
        outcome: Outcome,
        *,
        at: datetime,
        reason: str | None = None,
        answer: Answer | None = None,
        answer_id: int | None = None,
    ) -> None:
        """Write how a call ended, and what it is known to have cost."""

    def locked(self, attempt_id: int) -> Attempt | None:
        """Return one call; nobody else settles it until this transaction ends."""

    def abandon(self, fingerprint: bytes, *, owner: str, at: datetime) -> Sequence[Attempt]:
        """Settle and return what a dead process left open: nobody will ever know what it cost."""

    def abandon_all(
        self, owner: str, *, started_before: datetime, at: datetime
    ) -> Sequence[Attempt]:
        """Settle and return all that a process left open."""

    def owners_of_open(self) -> Sequence[str]:
        """Return the processes that have calls open, or died with some."""

    def outcome(self, attempt_id: int, lease: Lease, *, owner: str) -> Outcome | None:
        """Return how this very call stands; None when it was never written here."""


# What a request was answered with. Of a turn it is what the user said, also without a reply.
Stood = Analysis | Session | Message


class IdempotencyKeys(Protocol):
    """Which requests were answered with what."""

    def begin(self, key: IdempotencyKey, asker: Asker, *, at: datetime) -> Stood | Repeat | None:
        """Note that a key is used, and return what it was answered with, if it was."""

    def settle(self, key: IdempotencyKey, given: Stood) -> None:
        """Write what a key was answered with; the first answer stands."""


class Prunable(Protocol):
    """Rows of one kind that grow old."""

    def look(self, last: Any, *, before: datetime, limit: int) -> Look:
        """Return which of the next `limit` rows behind `last` are old; takes no lock."""

    def remove(self, keys: Sequence[Any], *, before: datetime) -> Gone:
        """Remove those of these rows that still are old; what others have locked stays."""


class Transaction(Protocol):
    """One unit of work: all of it is committed, or none."""

    @property
    def answers(self) -> Answers: ...
    @property
    def analyses(self) -> Analyses: ...
    @property
    def flights(self) -> Flights: ...
    @property
    def attempts(self) -> Attempts: ...
    @property
    def idempotency_keys(self) -> IdempotencyKeys: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def preferences(self) -> Preferences: ...
    @property
    def erasures(self) -> Erasures: ...
    @property
    def exports(self) -> Exports: ...
    @property
    def trail(self) -> Trail: ...
    @property
    def seals(self) -> Seals: ...
    @property
    def usage(self) -> UsageBooks: ...
    @property
    def budgets(self) -> Budgets: ...
    @property
    def rate_limits(self) -> RateLimits: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def sign_ins(self) -> SignIns: ...
    @property
    def provider_batches(self) -> ProviderBatches: ...
    def prunable(self, kind: Kind) -> Prunable: ...
    def book(self, event: Event) -> None:
        """Have an event written with all that the transaction does, or not at all."""


class Database(Protocol):
    """Short transactions. Raises only `DatabaseUnavailableError` of its own."""

    def reading(self) -> AbstractContextManager[Transaction]:
        """Open a consistent view that writes nothing."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a unit of work: committed at the end of the block, undone by any exception."""

    def ping(self) -> None: ...


class Told(Protocol[B_contra]):
    """Who is told how something ended, once: a future, or what stands for one."""

    def set_result(self, result: B_contra, /) -> None: ...

    def set_exception(self, error: BaseException, /) -> None: ...


class Ledger(Protocol):
    """The one writer of a process: commits everything that waits in one transaction."""

    def write(
        self, work: Callable[[Transaction], T], *, key: bytes = b"", budgets: Sequence[int] = ()
    ) -> Future[T]:
        """Run `work` in the next batch; the future resolves once it is durable.

        `work` may be run twice (a failed batch is undone and its works are run one by one), so it
        must do nothing but use its transaction. Works are ordered by `key` within a batch, so
        that two replicas lock rows in the same order; `budgets` are those that it may change,
        which are locked before all else.
        """

    def write_together(
        self, together: Callable[[Transaction, Sequence[A]], Sequence[B]], item: A
    ) -> Future[B]:
        """Run `together` in the next batch, once for all the items that were given with it.

        It returns one result for each item, in their order. It runs before all other works of
        its batch, and may be run twice as they may.
        """

    def tell_together(
        self, told: Told[B], together: Callable[[Transaction, Sequence[A]], Sequence[B]], item: A
    ) -> None:
        """Do what `write_together` does, and tell somebody instead of resolving a future."""


class Liveness(Protocol):
    """What this host knows of other processes without asking the database."""

    def is_dead(self, owner: str) -> bool:
        """Return True only for a process that certainly runs no more; False when in doubt."""

    def is_alive(self, owner: str) -> bool:
        """Return True only for a process that certainly runs; False when in doubt."""


class Spool(Protocol):
    """Where paid answers wait for their commit; they outlive the process. It never raises."""

    def put(self, purchase: Purchase) -> None:
        """Write an answer down, so that it survives the process."""

    def make_safe(self, purchase: Purchase) -> None:
        """Let an answer survive a power cut too."""

    def drop(self, purchase: Purchase) -> None: ...

    def set_aside(self, purchase: Purchase) -> None:
        """Keep an answer that cannot be committed out of the way."""

    def waiting(self, fingerprint: bytes | None = None) -> Sequence[Purchase]:
        """Return the answers that wait, of all processes: to one question, or to all."""
