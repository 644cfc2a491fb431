"""Everything that can go wrong, as facts. `http/errors.py` says what a client sees of each.

No message here ever holds a text, an answer, a key or a provider's own words.
"""

from dataclasses import dataclass
from datetime import datetime

from askonce.core.attempts import CIRCUIT_OPEN
from askonce.core.budgets import Budget
from askonce.core.limits import Quotas


class AskonceError(Exception):
    """The base of all errors that askonce raises on purpose."""


class UnauthenticatedError(AskonceError):
    """The request came with no key, or with none that is good: the two are never told apart."""


class ForbiddenError(AskonceError):
    """The key is good, but not for this user or this operation."""


class ForeignFormError(AskonceError):
    """A form was sent by a page that is not the console's, or is one no longer."""


class NotFoundError(AskonceError):
    """It does not exist, or is not the caller's: the two are never told apart."""


class MalformedRequestError(AskonceError):
    """The request cannot be read at all."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class UnsupportedMediaTypeError(AskonceError):
    """The body is not JSON in UTF-8."""


class TooLargeError(AskonceError):
    """The body is larger than a request may be."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with one field. `field` is a dotted path."""

    field: str
    message: str


class InvalidFieldsError(AskonceError):
    """The request can be read, but fields of it are wrong."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(", ".join(error.field for error in errors))
        self.errors = errors


class UnknownProviderError(AskonceError):
    """The request names a provider that is not configured."""

    def __init__(self, provider: str) -> None:
        super().__init__(provider)
        self.provider = provider


class NotCachedError(AskonceError):
    """The caller wanted an answer from the cache or none."""


class RateLimitedError(AskonceError):
    """Somebody asks too often. In `retry_after` whole seconds they may ask again.

    `quotas` has what is left of those that count.
    """

    def __init__(self, *, retry_after: int, quotas: Quotas) -> None:
        super().__init__(f"retry after {retry_after} s")
        self.retry_after = retry_after
        self.quotas = quotas


class BudgetExceededError(AskonceError):
    """The next call could pass a budget; it was not made.

    `starts_at` is the beginning of the budget's period. `unpriced` is a model whose price is not
    known, so that it cannot be held against a budget in dollars.
    """

    def __init__(self, budget: Budget, starts_at: datetime, *, unpriced: str | None = None) -> None:
        super().__init__(f"{budget.scope.kind} {budget.scope.unit} {budget.scope.period}")
        self.budget = budget
        self.ends_at = budget.scope.period.end(starts_at)
        self.unpriced = unpriced


class OverloadedError(AskonceError):
    """No call slot is free and the queue for one is full."""


class DatabaseUnavailableError(AskonceError):
    """The database does not answer, or not in time. Nothing was written."""


class AnswerParkedError(DatabaseUnavailableError):
    """A paid answer could not be committed yet; it is kept, and committed when that is possible."""


class ErasedError(AskonceError):
    """Everything about the user was erased while the request was under way."""


class NotReadyError(AskonceError):
    """This process is starting or draining: requests belong elsewhere."""


class ConflictError(AskonceError):
    """Another turn of this session is running, or was quicker."""


class IdempotencyMismatchError(AskonceError):
    """The idempotency key came with another request before."""


class DeletedError(AskonceError):
    """What the idempotency key stands for has been deleted."""


class LeaseLostError(AskonceError):
    """Another process has taken this flight over: no call may be made for it here."""


class ConfigurationError(AskonceError):
    """A setting stops the start. The message is one line and names it."""


class ProviderError(AskonceError):
    """A provider gave no answer that can be used.

    `reason` is one of our own words (`timeout`, `http-503`, `cut`, …).
    """

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"{provider}: {reason}")
        self.provider = provider
        self.reason = reason


class ProviderUnavailableError(ProviderError):
    """One try failed in a way that another try may cure.

    `retry_after` is in seconds, where the provider named it. `may_be_paid` says that the provider
    may have done the work: trying again may buy it twice.
    """

    def __init__(
        self,
        provider: str,
        reason: str,
        *,
        retry_after: float | None = None,
        may_be_paid: bool = False,
    ) -> None:
        super().__init__(provider, reason)
        self.retry_after = retry_after
        self.may_be_paid = may_be_paid


class ProviderRejectedError(ProviderError):
    """The provider refuses our key or our request: no other try would change that."""


class ProviderCircuitOpenError(ProviderError):
    """The provider has failed so often that it is left alone; no call was made.

    `retry_after` is in seconds: before that it is not asked again.
    """

    def __init__(self, provider: str, *, retry_after: float) -> None:
        super().__init__(provider, CIRCUIT_OPEN)
        self.retry_after = retry_after


class InputTooLongError(ProviderError):
    """The text does not fit the model's context."""


class InvalidAnswerError(ProviderError):
    """The answer was paid for but does not fit the schema that was asked for."""


class ProviderExhaustedError(ProviderError):
    """Every try failed. `retry_after` passes on what the provider asked for, in seconds."""

    def __init__(self, provider: str, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(provider, reason)
        self.retry_after = retry_after
