"""Asks the service what one line asks, and says what became of it."""

import hashlib
import json
import threading
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from askonce.cli.bulk.lines import Line
from askonce.cli.bulk.records import Record
from askonce.cli.bulk.stopping import StopBatchError
from askonce.client import (
    Analysis,
    Client,
    OddAnswerError,
    Patience,
    ProblemError,
    UnreachableError,
)

# As many as fit into any patience, with the waits between them.
_TRIES = 1000


class Asking:
    """Asks lines, from several threads.

    `run` is the name of the batch: with it and the line's number the idempotency key is made, so
    that a line that is asked again is given what was bought the first time.
    """

    def __init__(self, client: Client, *, run: str, is_refresh: bool) -> None:
        self._client = client
        self._run = run
        self._cache_control = "no-cache" if is_refresh else None

    def ask(self, line: Line) -> Record:
        """Return what became of a line.

        Raises:
            StopBatchError: it could not be asked, and what follows could not be either.
        """
        if line.fault is not None:
            return failed(line, "bad-line", asdict(line.fault))
        try:
            analysis = self._client.analyze(
                line.user_id,
                **line.asked,
                cache_control=self._cache_control,
                idempotency_key=self._key(line),
            )
        except ProblemError as problem:
            reason = _why_stop(problem)
            if reason is not None:
                raise StopBatchError(reason) from problem
            faults = [asdict(fault) for fault in problem.errors]
            return failed(line, problem.type, *faults, problem=problem)
        except UnreachableError as error:
            message = "the service does not answer: is it running, and is the URL right?"
            raise StopBatchError(message) from error
        except OddAnswerError as error:
            raise StopBatchError(str(error)) from error
        return Record.answered(line, _shown(analysis))

    def _key(self, line: Line) -> str:
        facts = [self._run, line.number, line.user_id, dict(line.asked)]
        return f"batch-{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()}"


def failed(
    line: Line, kind: str, *faults: dict[str, Any], problem: ProblemError | None = None
) -> Record:
    """Return the record of a line without an answer."""
    about: dict[str, Any] = {"type": kind}
    if problem is not None:
        about |= {"status": problem.status, "detail": problem.detail}
        about["request_id"] = problem.request_id
    return Record.failed(line, **about, errors=list(faults))


def patient(is_over: threading.Event, seconds: float) -> Patience:
    """Return a patience of so many seconds, which ends once the batch is stopped."""

    def sleep(seconds: float) -> None:
        if is_over.wait(seconds):
            raise StopBatchError("stopped")

    return Patience(tries=_TRIES, seconds=seconds, sleep=sleep)


def _why_stop(problem: ProblemError) -> str | None:
    """Return why no other line should be asked now; None where it is this line's own problem."""
    match problem.status:
        case HTTPStatus.PAYMENT_REQUIRED:
            return f"a budget is used up: {problem.detail}"
        case HTTPStatus.UNAUTHORIZED:
            return "the service wants a key: give --key, or set ASKONCE_KEY"
    if problem.type == "unknown":
        return f"what answers there is not askonce (status {problem.status}): is the URL right?"
    if problem.is_passing:
        return f"the service cannot answer for now ({problem.status} {problem.type})"
    return None


def _shown(analysis: Analysis) -> dict[str, Any]:
    shown = asdict(analysis)
    # What was asked stands in the input.
    del shown["text"]
    return shown
