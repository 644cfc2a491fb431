"""Questions that a vendor answers within a day, at half the price: many in one batch."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from askonce.core.access import Asker
from askonce.core.answers import Answer
from askonce.core.errors import AskonceError
from askonce.core.questions import Question

# What stands as the owner of a call that no process waits for.
_OWNER = "provider-batch"
# Within 64 bits, whatever a vendor says.
_LINE_ID = re.compile("[0-9]{1,18}")


class BatchState(StrEnum):
    """Where a batch stands."""

    # It is being filled; nothing of it has left the house.
    OPEN = "open"
    # It is being sent: whether it has arrived only the vendor knows.
    SENDING = "sending"
    SENT = "sent"
    # All of its answers are kept.
    OVER = "over"


class LineState(StrEnum):
    """Where one line stands."""

    WAITING = "waiting"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch, as it is known here.

    `token` is how it is found again at the vendor. `owner` is the process that sends it.
    """

    id: int
    tenant: str
    run: str
    token: str
    provider: str
    model: str
    state: BatchState
    owner: str
    remote_id: str | None
    lines: int
    size: int
    sent_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLine:
    """One line of a run, whose answer is here already, or is to be asked for.

    `digest` is that of the line as it was written. What waits has a question. A line with a
    `leader` asks what that line asks, and gets its answer.
    """

    run: str
    number: int
    digest: str
    asker: Asker
    fingerprint: bytes
    state: LineState
    question: Question | None = field(default=None, repr=False)
    batch_id: int | None = None
    leader: int | None = None
    attempt_id: int | None = None
    epoch: int = 0
    analysis_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line as it stands.

    `epoch` is that of the question when it was asked, 0 where nobody had asked it. There is no
    `question` once there is an outcome, or the user was erased.
    """

    id: int
    run: str
    number: int
    digest: str
    asker: Asker
    fingerprint: bytes
    state: LineState
    question: Question | None = field(repr=False)
    attempt_id: int | None
    leader: int | None
    epoch: int
    analysis_id: int | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class BatchNews:
    """What the vendor says of a batch. `ended_at` is when the last answer came, once it is over.

    `failure` is why those lines have no answer that no result is about.
    """

    is_over: bool
    ended_at: datetime | None = None
    failure: str = "missing"


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one line at the vendor.

    `read` returns the answer to the question that was asked, or raises a `ProviderError`.
    """

    name: str
    read: Callable[[Question], Answer] = field(repr=False)


class BatchUnsureError(AskonceError):
    """Whether a batch has arrived cannot be told yet: sending it again could pay twice."""

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"{provider}: {reason}")
        self.provider = provider
        self.reason = reason


class BatchProvider(Protocol):
    """A vendor that takes batches. Raises `ProviderError`s of its own.

    No batch has more than `most_lines`, or is longer than `most_bytes` as it is sent.
    """

    most_lines: int
    most_bytes: int

    def send(self, token: str, questions: Iterable[tuple[str, Question]]) -> str:
        """Send questions, each with a name that is unique in the batch; return the batch's id.

        Raises:
            ProviderUnavailableError: it may have arrived where `may_be_paid`, else certainly not.
            ProviderRejectedError: it has not been taken.
        """

    def find(
        self, token: str, *, lines: int, since: datetime, others: frozenset[str]
    ) -> str | None:
        """Return the id of the batch that was sent with this token; None: it has not arrived.

        It has so many `lines`, was not sent before `since`, and is none of the `others`.

        Raises:
            BatchUnsureError: that cannot be told yet.
        """

    def news(self, remote_id: str) -> BatchNews:
        """Return how a batch gets on."""

    def results(self, remote_id: str) -> Iterator[BatchResult]:
        """Yield what became of the lines of a batch that is over, in any order."""


class ProviderBatches(Protocol):
    """The batches of all tenants, and the lines in them."""

    def filling(
        self, tenant: str, run: str, *, provider: str, model: str, token: str, at: datetime
    ) -> int:
        """Return the batch of a run that is being filled for a model: a new one, if need be."""

    def batch(self, batch_id: int) -> Batch | None:
        """Return one batch; nobody else changes it until this transaction ends."""

    def unfinished(self, tenant: str) -> Sequence[Batch]:
        """Return all batches of a tenant that are not over, the oldest first."""

    def remote_ids(self, provider: str) -> frozenset[str]:
        """Return the vendor's ids of all batches that are known here."""

    def move(
        self,
        batch_id: int,
        state: BatchState,
        *,
        owner: str = "",
        remote_id: str | None = None,
        sent_at: datetime | None = None,
    ) -> None:
        """Note where a batch stands; what is not given stays as it was."""

    def add(self, line: NewLine) -> int:
        """Write a line down, and return its id."""

    def known(self, tenant: str, run: str, numbers: Sequence[int]) -> dict[int, Line]:
        """Return those of these lines of a run that are written down."""

    def leader(self, tenant: str, run: str, fingerprint: bytes) -> int | None:
        """Return the line that waits for the answer to a question, if there is one.

        It is one of this run, or one that is on its way.
        """

    def lines(self, batch_id: int, *, after: int, limit: int) -> Sequence[Line]:
        """Return lines of a batch that wait and lead, in the order of their ids."""

    def locked(self, batch_id: int, line_ids: Sequence[int]) -> dict[int, Line]:
        """Return those of the lines that are in a batch; nobody else changes them until the end.

        Which lines there are a vendor says, whose word is not to reach any other batch.
        """

    def followers(self, tenant: str, *, limit: int) -> Sequence[tuple[Line, Line]]:
        """Return lines that wait although their leaders do not any more, each with its leader."""

    def settle(
        self, line_id: int, *, analysis_id: int | None = None, failure: str | None = None
    ) -> None:
        """Note what became of a line; its text is kept no longer."""

    def waiting(self, tenant: str, run: str) -> int:
        """Return how many lines of a run wait."""

    def forget(self, tenant: str, run: str) -> None:
        """Remove what is held of a run of which nothing waits."""


def owner_of(batch_id: int) -> str:
    """Return who stands as the owner of the calls in a batch."""
    return f"{_OWNER}:{batch_id}"


def is_in_batch(owner: str) -> bool:
    """Return whether a call belongs to a batch, for which no process has to live."""
    return owner.startswith(f"{_OWNER}:")


def name_of(token: str, line_id: int) -> str:
    """Return how a line is called at the vendor: both take up to 64 of A-Z a-z 0-9 - and _."""
    return f"{token}-{line_id}"


def line_id_of(name: str, token: str) -> int | None:
    """Return the line that a name stands for; None where it is none of this batch."""
    found, _, line_id = name.rpartition("-")
    return int(line_id) if found == token and _LINE_ID.fullmatch(line_id) else None
