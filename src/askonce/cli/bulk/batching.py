"""Has lines answered in the vendors' batches: writes down what they ask, and reads what came."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

from rich.console import Console

from askonce.cli.bulk.asking import failed
from askonce.cli.bulk.files import Files, go
from askonce.cli.bulk.lines import Line
from askonce.cli.bulk.records import Record, Records, begun, changed
from askonce.cli.bulk.run import ended_by_ctrl_c
from askonce.cli.bulk.stopping import StopBatchError, WaitingError
from askonce.cli.bulk.tally import Tally
from askonce.config import load_settings
from askonce.core.errors import (
    BudgetExceededError,
    InvalidFieldsError,
    MalformedRequestError,
    ProviderError,
    UnknownProviderError,
)
from askonce.core.provider_batches import LineState
from askonce.core.requests import Request
from askonce.http.analyses import AnalyzeIn
from askonce.http.bodies import parsed
from askonce.http.shown import written
from askonce.main.batching import provider_batching
from askonce.services.provider_batches import ProviderBatching, Wanted


class Batching:
    """The lines of one run."""

    def __init__(self, batching: ProviderBatching, *, run: str, is_refresh: bool) -> None:
        self._batching = batching
        self._run = run
        self._is_refresh = is_refresh

    def wanted(
        self, lines: Iterator[Line], records: Records, *, is_retry: bool
    ) -> Iterator[Wanted]:
        """Yield what is asked by the lines that have no record yet, or a failed one to be retried.

        Raises:
            StopBatchError: a record is that of another line.
        """
        for line in lines:
            record = records.of(line)
            is_again = is_retry and record is not None and record.error is not None
            if record is not None and not is_again:
                if record.digest != line.digest:
                    raise changed(records.out, line.number)
                continue
            request = None if line.fault is not None else self._request(line)
            if isinstance(request, Request):
                yield Wanted(number=line.number, digest=line.digest, request=request)

    def record(self, line: Line) -> Record:
        """Return what became of a line.

        Raises:
            WaitingError: nothing yet.
            StopBatchError: it was another line when it was asked.
        """
        if line.fault is not None:
            return failed(line, "bad-line", asdict(line.fault))
        known = self._batching.known(self._run, line.number)
        if known is None:
            refused = self._request(line)
            if isinstance(refused, Record):
                return refused
            raise WaitingError("some lines have not been asked yet")
        # Of a user who was erased nothing is known any more.
        if known.digest not in {line.digest, ""}:
            raise StopBatchError(
                f"the input has changed: line {line.number} was another one when it was asked",
                is_wrong_use=True,
            )
        if known.state is LineState.WAITING:
            raise WaitingError("some answers are still being made")
        analysis = self._batching.analysis(known)
        if analysis is None:
            return failed(line, known.failure or "deleted")
        return Record.answered(line, json.loads(written(analysis)))

    def _request(self, line: Line) -> Request | Record:
        body = json.dumps(dict(line.asked), ensure_ascii=False).encode()
        try:
            draft = parsed(AnalyzeIn, body).draft()
            return self._batching.request(line.user_id, draft, is_refresh=self._is_refresh)
        except InvalidFieldsError as error:
            faults: list[dict[str, Any]] = [asdict(one) for one in error.errors]
            return failed(line, "validation", *faults)
        except UnknownProviderError:
            fault = {"field": "provider", "message": "is not configured"}
            return failed(line, "unknown-provider", fault)
        except MalformedRequestError:
            return failed(line, "malformed-request")


def batched(
    files: Files,
    tally: Tally,
    console: Console,
    *,
    tenant: str,
    is_refresh: bool,
    is_retry: bool,
    wait: float | None,
) -> bool:
    """Send what has no answer yet, and collect what has one; return whether Ctrl-C ended it.

    Raises:
        StopBatchError: not all could be sent, or collected.
    """
    is_over = threading.Event()
    quiet = load_settings().model_copy(update={"log_level": "CRITICAL", "traces": "off"})
    reason: StopBatchError | None = None
    with (
        begun(files.out, files.errors) as run,
        provider_batching(quiet, tenant) as batches,
        ended_by_ctrl_c(is_over) as was_told,
    ):
        lines = Batching(batches, run=run, is_refresh=is_refresh)
        try:
            for unsure in batches.find():
                told = "whether a batch has arrived cannot be told yet, so it is not sent again"
                console.print(f"{unsure.provider}: {told}: {unsure.reason}")
            with files.input() as source, closing(Records(files.out, files.errors)) as records:
                try:
                    new = lines.wanted(files.reading.lines(source), records, is_retry=is_retry)
                    batches.add(run, new)
                except BudgetExceededError:
                    reason = StopBatchError("a budget is used up: not all lines could be asked")
            batches.send(run)
            batches.collect()
            while wait is not None and batches.waiting(run) and not is_over.wait(wait):
                # What could not be told at first may be known by now.
                batches.find()
                batches.send(run)
                batches.collect()
        except ProviderError as error:
            reason = StopBatchError(f"{error.provider} takes or gives no batch ({error.reason})")
        try:
            is_complete = go(
                files,
                tally,
                console,
                ask=lines.record,
                concurrency=1,
                is_over=is_over if reason is None else threading.Event(),
                is_retry=is_retry,
            )
        except WaitingError as error:
            raise reason or error from None
        if is_complete:
            batches.forget(run)
        if reason is not None:
            raise reason
        return was_told.is_set()
