"""All numbers that are shown at /metrics, and what they mean; docs/operations.md lists them."""

from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from askonce.telemetry.meters import Level

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_CALL_SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60)
_WAIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
_WORKS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_CALLS = (0, 1, 2, 3, 4, 6, 9)

_MEANINGS = {
    Level.FLIGHTS: "Questions that are being answered now",
    Level.SLOTS_IN_USE: "Slots for provider calls in use",
    Level.SLOTS: "Slots for provider calls that there are",
    Level.WAITING: "Questions that wait for a slot",
    Level.LEDGER: "Works that wait for the next commit",
    Level.CONNECTIONS: "Database connections in use",
    Level.MOST_CONNECTIONS: "Database connections that there can be",
    Level.CIRCUITS: "Models of a provider that are left alone because they keep failing",
    Level.SEALS: "For how long audit events may have stood without a seal",
    Level.PARKED: "Paid answers that wait for the database",
}


class Distribution(Histogram):
    """A histogram that takes many values at the price of one."""

    def add(self, values: Iterable[float]) -> None:
        counts = [0] * len(self._upper_bounds)
        total = 0.0
        for value in values:
            counts[bisect_left(self._upper_bounds, value)] += 1
            total += value
        # What `observe` does, once for each bucket and not for each value.
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Instruments:
    """The numbers of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"askonce_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str, mode: str = "livesum") -> Gauge:
            return Gauge(name, meaning, labels, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        def distribution(
            name: str, meaning: str, buckets: tuple[float, ...], *labels: str
        ) -> Distribution:
            return Distribution(
                f"askonce_{name}", meaning, labels, registry=registry, buckets=buckets
            )

        answer = ("provider", "model")
        tokens = (*answer, "direction")

        self.build = gauge("askonce_build", "The version that runs", "version", mode="livemax")
        self.workers = gauge("askonce_workers", "Worker processes that run")
        self.requests = counter(
            "requests", "Requests that were answered", "method", "route", "status"
        )
        self.request_seconds = distribution(
            "request_seconds", "From a request to the end of its answer", _REQUEST_SECONDS, "route"
        )
        self.answers = counter("answers", "Answers that were given, by where they came from", "way")
        self.calls = counter(
            "provider_calls", "Calls of providers, by how they ended", *answer, "outcome"
        )
        self.call_seconds = distribution(
            "provider_call_seconds", "One call of a provider", _CALL_SECONDS, "provider"
        )
        self.calls_of_question = distribution(
            "provider_calls_per_question", "Calls that one question took", _CALLS
        )
        self.tokens = counter("tokens", "Tokens that were paid for", *tokens)
        self.dollars = counter(
            "cost_dollars", "What calls cost, as far as prices are known", *answer
        )
        self.unpriced = counter(
            "unpriced_calls", "Answered calls whose price is not known", *answer
        )
        self.tokens_saved = counter("tokens_saved", "Tokens that the cache saved", *tokens)
        self.dollars_saved = counter(
            "cost_saved_dollars", "What the cache saved, as far as prices are known", *answer
        )
        self.slot_wait = distribution(
            "call_slot_wait_seconds", "What a question waited for its slot", _WAIT_SECONDS
        )
        self.ledger_wait = distribution(
            "ledger_wait_seconds", "From the oldest work of a batch to its commit", _WAIT_SECONDS
        )
        self.ledger_batch = distribution("ledger_batch_works", "Works in one commit", _WORKS)
        self.ledger_failures = counter("ledger_failures", "Batches that could not be committed")
        self.levels = {
            level: gauge(
                level.value,
                meaning,
                *(("provider",) if level is Level.CIRCUITS else ()),
                mode="livemax" if level is Level.SEALS else "livesum",
            )
            for level, meaning in _MEANINGS.items()
        }
