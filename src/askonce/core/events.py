"""What happened to data or money, for the audit trail and the books: never what was said."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Action(StrEnum):
    """What was done. The first part names what it was done to."""

    # Somebody was given an answer: in the history, in a session, as a summary of one.
    ANALYZE = "analyze"
    TURN = "turn"
    SUMMARY = "summary"
    # A provider was called.
    CALL = "call"
    HISTORY_READ = "history.read"
    HISTORY_DELETE = "history.delete"
    SESSION_CREATE = "session.create"
    SESSION_READ = "session.read"
    SESSION_CHANGE = "session.change"
    SESSION_DELETE = "session.delete"
    # Somebody said something in one, or brought in what an assistant had said elsewhere.
    SESSION_SAY = "session.say"
    SESSION_IMPORT = "session.import"
    PREFERENCES_READ = "preferences.read"
    PREFERENCES_PUT = "preferences.put"
    USAGE_READ = "usage.read"
    AUDIT_READ = "audit.read"
    USER_EXPORT = "user.export"
    USER_ERASE = "user.erase"
    KEYS_CREATE = "keys.create"
    KEYS_REVOKE = "keys.revoke"
    KEYS_ROTATE = "keys.rotate"
    CONSOLE_SIGN_IN = "console.sign_in"
    CONSOLE_SIGN_OUT = "console.sign_out"
    BUDGETS_SET = "budgets.set"
    BUDGETS_REMOVE = "budgets.remove"
    PRUNE = "prune"


ASKED = frozenset({Action.ANALYZE, Action.TURN, Action.SUMMARY})
DONE = "done"
# What no tenant did: its own upkeep concerns the whole deployment.
NO_TENANT = ""


class Event(NamedTuple):
    """One thing that touched data or money: who, what, when, and what it took.

    `outcome` is `done`, the way an answer came (`hit`, `miss`, …), or how a call ended. Tokens and
    cost of a call were spent; those of a hit, a collapsed request or a replay were saved; a miss
    has none, since its call has them. `cost` is None where it is not known. `digest` is that of
    the answer. `about` holds ids and counts of rows, and words of our own; nothing that a client
    wrote. `unknown_since` says of a call that it had been booked as unknown before, and when.
    A tuple: one is made for each hit.
    """

    at: datetime
    tenant: str
    action: Action
    outcome: str = DONE
    user_id: str | None = None
    key_id: int | None = None
    request_id: str = ""
    provider: str | None = None
    model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: Decimal | None = None
    digest: str | None = None
    about: Mapping[str, int | str] = MappingProxyType({})
    unknown_since: datetime | None = None
