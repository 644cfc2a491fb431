"""How `askonce batch` goes through its input, without a service."""

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from askonce.cli.bulk.lines import Format, Line, Reading
from askonce.cli.bulk.progress import Shown
from askonce.cli.bulk.records import Record, Records
from askonce.cli.bulk.run import Run
from askonce.cli.bulk.stopping import StopBatchError
from askonce.cli.bulk.tally import Tally

COUNT = 5_000
CONCURRENCY = 4


class Bulk:
    """A run through many lines, with a service that is a function."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.tally = Tally()
        self.taken = 0
        self.furthest = 0

    def lines(self) -> Iterator[Line]:
        raw = b"".join(b'{"text": "%d"}\n' % number for number in range(COUNT))
        for line in Reading(format=Format.JSONL, user_id="ann").lines(io.BytesIO(raw)):
            self.taken += 1
            self.furthest = max(self.furthest, self.taken - self.tally.lines)
            yield line

    def answer(self, line: Line) -> Record:
        return Record.answered(line, {"cached": False, "cost_usd": "0.000001"})

    def refuse_from(self, number: int, line: Line) -> Record:
        if line.number >= number:
            raise StopBatchError("no more")
        return self.answer(line)

    def run(self, ask: object = None) -> str:
        self.tally = Tally()
        self.taken = 0
        records = Records(self.out, None)
        shown = Shown(Console(file=io.StringIO()), self.tally, size=None)
        run = Run(
            records,
            ask=ask or self.answer,  # type: ignore[arg-type]
            concurrency=CONCURRENCY,
            tally=self.tally,
            shown=shown,
            is_over=threading.Event(),
        )
        try:
            run.go(self.lines())
        except StopBatchError as error:
            return str(error)
        finally:
            records.close()
        return ""

    def numbers(self) -> list[int]:
        return [json.loads(line)["line"] for line in self.out.read_bytes().splitlines()]


def test_no_more_of_the_input_is_held_than_is_being_asked(tmp_path: Path) -> None:
    bulk = Bulk(tmp_path / "out")
    assert bulk.run() == ""
    assert bulk.numbers() == list(range(1, COUNT + 1))
    assert bulk.furthest <= 16 * CONCURRENCY + 1


def test_what_stops_the_run_leaves_whole_records_and_the_next_run_goes_on(tmp_path: Path) -> None:
    bulk = Bulk(tmp_path / "out")
    assert bulk.run(lambda line: bulk.refuse_from(1000, line)) == "no more"
    assert bulk.numbers() == list(range(1, 1000))

    # A power cut can take the end of the file, and leave half a line.
    bulk.out.write_bytes(bulk.out.read_bytes()[:-30])
    assert bulk.run() == ""
    assert bulk.numbers() == list(range(1, COUNT + 1))
    assert bulk.tally.misses == COUNT
