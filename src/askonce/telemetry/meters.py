"""What the product tells of itself, to be counted: one method for each thing that happens.

They say what happened, not what is done with it: a process counts in `metrics.py`, a test of one
part in nothing at all. None of them is told a tenant, a user, a key, or a word that was said.
"""

from collections.abc import Callable
from enum import StrEnum

from askonce.core.answers import Answer
from askonce.core.landings import Asked


class Level(StrEnum):
    """What goes up and down. The value is the name that it is shown under."""

    FLIGHTS = "askonce_flights_in_the_air"
    SLOTS_IN_USE = "askonce_call_slots_in_use"
    SLOTS = "askonce_call_slots"
    WAITING = "askonce_calls_waiting_for_a_slot"
    LEDGER = "askonce_ledger_works_waiting"
    CONNECTIONS = "askonce_database_connections_in_use"
    MOST_CONNECTIONS = "askonce_database_connections"
    CIRCUITS = "askonce_circuits_open"
    SEALS = "askonce_audit_seal_lag_seconds"
    PARKED = "askonce_paid_answers_parked"


class Meters:
    """Counts nothing. All methods may be called from any thread, and cost next to nothing."""

    def request_served(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count an answer; `route` is the template that matched, None where none did."""

    def answered(self, asked: Asked) -> None:
        """Count what somebody was given, and what that saved."""

    def provider_called(
        self, provider: str, model: str, *, outcome: str, seconds: float, answer: Answer | None
    ) -> None:
        """Count one call, and what it cost; `outcome` is `answered` or an error's reason."""

    def question_ended(self, calls: int) -> None:
        """Count a question that a provider was to be asked, with how many calls were made."""

    def slot_taken(self, waited: float) -> None:
        """Count a call that has waited so many seconds for its slot."""

    def batch_committed(self, works: int, waited: float) -> None:
        """Count a commit; `waited` is how long its oldest work took, in seconds."""

    def batch_failed(self) -> None:
        """Count a commit that the database did not take."""

    def watch(self, level: Level, read: Callable[[], float], *, provider: str = "") -> None:
        """Ask `read` now and then how high a level is; only circuits have a provider each."""


UNMETERED = Meters()
