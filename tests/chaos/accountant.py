"""Checks afterwards what happened in a run against what the product promises.

Pure functions over the evidence: each rule has its own, and its docstring is the rule.
"""

from collections.abc import Iterator

from tests.chaos.deleting import back_from_the_dead, left_behind
from tests.chaos.evidence import Evidence
from tests.chaos.journaling import left_open, unjournaled
from tests.chaos.keeping import lost_or_changed, mixed_up, unasked_rows, unexpected, wrong_deltas
from tests.chaos.leading import acquired_wrongly, tried_wrongly, unasked_calls
from tests.chaos.repeating import given_two_bodies, given_two_rows, mismatched
from tests.chaos.standing import two_answers_in_an_epoch, wrong_entries
from tests.chaos.violations import Violation

RULES = (
    lost_or_changed,
    unasked_rows,
    mixed_up,
    wrong_deltas,
    unexpected,
    acquired_wrongly,
    tried_wrongly,
    unasked_calls,
    unjournaled,
    left_open,
    back_from_the_dead,
    left_behind,
    given_two_bodies,
    given_two_rows,
    mismatched,
    two_answers_in_an_epoch,
    wrong_entries,
)


def violations(evidence: Evidence) -> list[Violation]:
    """Return every broken promise."""
    return [
        *(violation for rule in RULES for violation in rule(evidence)),
        *_damage(evidence),
    ]


def _damage(evidence: Evidence) -> Iterator[Violation]:
    for what in evidence.damage:
        yield Violation("damage", what)
    for what in evidence.stuck:
        yield Violation("stuck", what)
