"""What one run leaves behind: what clients, provider and scheduler saw, and what the tables hold.

All moments are seconds since the run began, on the clock that all processes share.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SAID = re.compile(r"answer to ([0-9a-f]{8}) #(\d+)")
NO_CACHE = "no-cache"
NO_STORE = "no-store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request for an analysis that reached a replica.

    Each has a user of its own; those that repeat one Idempotency-Key share theirs.
    """

    number: int
    user: str
    text: str
    replica: str
    sent: float
    # None where the whole answer never came: the connection broke, or the client left.
    answered: float | None
    # That of the problem where a stream ended with one; 0 without an answer.
    status: int
    rules: str = ""
    key: str | None = None
    is_streamed: bool = False
    has_left: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    # What a stream said before its last event.
    deltas: str | None = None

    @property
    def is_given(self) -> bool:
        return self.status == 200

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def call(self) -> int | None:
        """The number of the provider call that made the answer, where the answer shows it."""
        return call_of(self.json["result"]) if self.is_given else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One DELETE that reached a replica. The status is 0 where none came back."""

    analysis_id: int
    replica: str
    sent: float
    answered: float | None
    status: int

    @property
    def may_have_worked(self) -> bool:
        return self.status in {0, 204} or self.status >= 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One process from its start to its end. A restarted one is another replica.

    `killed` and the beginnings of `freezes` were taken before the signal, their ends after it.
    """

    name: str
    owner: str | None
    killed: float | None = None
    freezes: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call as the stub provider saw it."""

    number: int
    replica: str
    provider: str
    text: str
    mode: str
    began: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A row of the table of attempts."""

    id: int
    fingerprint: bytes
    epoch: int
    fence: int
    owner: str
    provider: str
    outcome: str
    reason: str | None
    answer_id: int | None
    started: float
    finished: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A row of the table of answers."""

    id: int
    fingerprint: bytes
    text: str
    result: str
    finish_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """A row of the history."""

    id: int
    user: str
    answer_id: int
    cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A row of the table of flights."""

    fingerprint: bytes
    epoch: int
    fence: int
    state: str
    owner: str
    answer_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What the replicas were told."""

    heartbeat: float
    lease: float
    grace: float
    max_tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything about one run."""

    times: Times
    # Which text a fingerprint stands for.
    topics: Mapping[bytes, str]
    # By fingerprint: the key under which alone a call outside the cache (no-store) is joined.
    private: Mapping[bytes, str] = field(default_factory=dict)
    requests: tuple[Request, ...] = ()
    removals: tuple[Removal, ...] = ()
    replicas: tuple[Replica, ...] = ()
    calls: tuple[Call, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    answers: tuple[Answer, ...] = ()
    analyses: tuple[Analysis, ...] = ()
    flights: tuple[Flight, ...] = ()
    # What was done to the run, and when.
    faults: tuple[tuple[float, str], ...] = ()
    # When the database took no writes from anybody.
    outages: tuple[tuple[float, float], ...] = ()
    # What the database says about its own integrity, as far as it complains.
    damage: tuple[str, ...] = ()
    # What still did not work long after all faults were over.
    stuck: tuple[str, ...] = ()


def call_of(result: str) -> int | None:
    """Return the number of the call that the stub provider's answer shows, if it shows one."""
    said = _SAID.fullmatch(result)
    return None if said is None else int(said[2])


def digest_of(result: str) -> str | None:
    """Return the beginning of the SHA-256 of the question that an answer was given to."""
    said = _SAID.fullmatch(result)
    return None if said is None else said[1]
