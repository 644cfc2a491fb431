"""Counts what happens, and shows it as Prometheus wants to read it.

Whatever is told is only noted where it happens: one append. A thread of its own adds it up, every
second and before it is shown, since one number in a file that workers share costs as much as
everything else that is noted of a cache hit together.
"""

import threading
from collections import Counter as Tally
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from decimal import Decimal
from queue import Empty, SimpleQueue
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from askonce import __version__
from askonce.core.answers import Answer
from askonce.core.landings import Asked, Way
from askonce.telemetry import log, sharing
from askonce.telemetry.instruments import Instruments
from askonce.telemetry.meters import Level, Meters

T = TypeVar("T")
# Provider and model; tokens in and out, and dollars where they are known.
Model = tuple[str, str]
Took = tuple[int, int, Decimal | None]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# A path or a method that is nobody's must not become a name.
OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MOST_MODELS = 100
_TICK_SECONDS = 1.0
# A repeat by its key is the same request once more: nothing else would have been asked.
_SAVING = frozenset({Way.HIT, Way.COLLAPSED})


class PrometheusMeters(Meters):
    """The numbers of this process, or of all workers of a server that has several.

    `models` are shown by their names from the beginning, others from their first answer on: whoever
    asks can name any model.
    """

    def __init__(self, models: Iterable[str]) -> None:
        if sharing.is_shared():
            sharing.join()
        self._registry = CollectorRegistry()
        self._show = Instruments(self._registry)
        self._models = set(models)
        self._levels: list[tuple[Gauge, Callable[[], float]]] = []
        self._served: deque[tuple[str, str | None, int, float]] = deque()
        self._given: deque[tuple[Way, Model, Took]] = deque()
        self._called: deque[tuple[Model, str, float, Took | None]] = deque()
        self._ended: deque[float] = deque()
        self._slots: deque[float] = deque()
        self._batches: deque[tuple[int, float]] = deque()
        self._failures: deque[None] = deque()
        self._wanted: SimpleQueue[Future[bytes] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        self._show.build.labels(__version__).set(1)
        self._show.workers.set(1)
        self._thread.start()

    def close(self) -> None:
        if self._thread.ident is not None:
            self._wanted.put(None)
            self._thread.join()

    def shown(self) -> "Future[bytes]":
        """Return the future text of all numbers."""
        wanted: Future[bytes] = Future()
        self._wanted.put(wanted)
        return wanted

    def request_served(self, method: str, route: str | None, status: int, seconds: float) -> None:
        self._served.append((method, route, status, seconds))

    def answered(self, asked: Asked) -> None:
        # Not the answer itself: its text would be kept until it is counted.
        answer = asked.given.answer
        if answer is not None:
            self._given.append((asked.way, (answer.provider, answer.model), _took(answer)))

    def provider_called(
        self, provider: str, model: str, *, outcome: str, seconds: float, answer: Answer | None
    ) -> None:
        took = None if answer is None else _took(answer)
        self._called.append(((provider, model), outcome, seconds, took))

    def question_ended(self, calls: int) -> None:
        self._ended.append(calls)

    def slot_taken(self, waited: float) -> None:
        self._slots.append(waited)

    def batch_committed(self, works: int, waited: float) -> None:
        self._batches.append((works, waited))

    def batch_failed(self) -> None:
        self._failures.append(None)

    def watch(self, level: Level, read: Callable[[], float], *, provider: str = "") -> None:
        gauge = self._show.levels[level]
        self._levels.append((gauge.labels(provider) if provider else gauge, read))

    def _run(self) -> None:
        while True:
            wanted = self._asked_for()
            # Who went away meanwhile must not stop this thread.
            readers = [one for one in wanted if one and one.set_running_or_notify_cancel()]
            try:
                self._settle()
                text = self._text() if readers else b""
                for reader in readers:
                    reader.set_result(text)
            except Exception as error:  # noqa: BLE001 - the next second must be counted all the same
                log.error("metrics_failed", error=type(error).__name__)
                for reader in readers:
                    reader.set_exception(error)
            if None in wanted:
                return

    def _asked_for(self) -> "list[Future[bytes] | None]":
        """Return all who want to see the numbers now; nobody, where a second went by."""
        wanted: list[Future[bytes] | None] = []
        with suppress(Empty):
            wanted.append(self._wanted.get(timeout=_TICK_SECONDS))
            while True:
                wanted.append(self._wanted.get_nowait())
        return wanted

    def _text(self) -> bytes:
        return generate_latest(sharing.collected() if sharing.is_shared() else self._registry)

    def _settle(self) -> None:
        self._settle_requests()
        self._settle_answers()
        self._settle_calls()
        self._show.calls_of_question.add(_all(self._ended))
        self._show.slot_wait.add(_all(self._slots))
        batches = _all(self._batches)
        self._show.ledger_batch.add(works for works, _ in batches)
        self._show.ledger_wait.add(waited for _, waited in batches)
        self._show.ledger_failures.inc(len(_all(self._failures)))
        for gauge, read in self._levels:
            # What cannot be read now may be readable a second later.
            with suppress(Exception):
                gauge.set(read())

    def _settle_requests(self) -> None:
        requests: Tally[tuple[str, str, str]] = Tally()
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        for method, route, status, taken in _all(self._served):
            path = route or OTHER
            requests[method if method in _METHODS else OTHER, path, str(status)] += 1
            seconds[path].append(taken)
        for labels, count in requests.items():
            self._show.requests.labels(*labels).inc(count)
        for path, values in seconds.items():
            self._show.request_seconds.labels(path).add(values)

    def _settle_answers(self) -> None:
        ways: Tally[Way] = Tally()
        saved: defaultdict[Model, list[Took]] = defaultdict(list)
        for way, model, took in _all(self._given):
            ways[way] += 1
            if way in _SAVING:
                saved[model].append(took)
        for way, count in ways.items():
            self._show.answers.labels(way.value).inc(count)
        for model, all_took in saved.items():
            self._add(
                all_took, self._named(model), self._show.tokens_saved, self._show.dollars_saved
            )

    def _settle_calls(self) -> None:
        for model, outcome, seconds, took in _all(self._called):
            if took is not None and len(self._models) < _MOST_MODELS:
                self._models.add(model[1])
            named = self._named(model)
            self._show.calls.labels(*named, outcome).inc()
            self._show.call_seconds.labels(named[0]).observe(seconds)
            if took is not None:
                self._add([took], named, self._show.tokens, self._show.dollars)
                if took[2] is None:
                    self._show.unpriced.labels(*named).inc()

    def _named(self, model: Model) -> Model:
        provider, name = model
        return provider, name if name in self._models else OTHER

    def _add(self, took: list[Took], model: Model, tokens: Counter, dollars: Counter) -> None:
        tokens.labels(*model, "in").inc(sum(one[0] for one in took))
        tokens.labels(*model, "out").inc(sum(one[1] for one in took))
        # Exact in the books; here it is as near as a number that is shown can be.
        dollars.labels(*model).inc(float(sum(one[2] or 0 for one in took)))


def _took(answer: Answer) -> Took:
    return answer.tokens_in, answer.tokens_out, answer.cost


def _all(noted: deque[T]) -> list[T]:
    """Take what has been noted so far; what is noted meanwhile is for the next time."""
    return [noted.popleft() for _ in range(len(noted))]
