"""`python -m benchmarks`: what askonce does, costs and takes, in one run on one machine."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from benchmarks import machine, processors
from benchmarks.bench import Bench
from benchmarks.databases import POSTGRESQL, SQLITE, databases
from benchmarks.measures.bursts import burst, inflight
from benchmarks.measures.histories import history, search
from benchmarks.measures.hits import hits
from benchmarks.measures.misses import misses
from benchmarks.measures.sharing import workers
from benchmarks.measures.stampede import stampede
from benchmarks.measures.starting import start
from benchmarks.report import Section
from benchmarks.servers import Starter
from tests.stub.client import StubProvider

MEASURES: dict[str, Callable[[Bench], Iterator[Section]]] = {
    "start": start,
    "hits": hits,
    "workers": workers,
    "misses": misses,
    "burst": burst,
    "inflight": inflight,
    "stampede": stampede,
    "history": history,
    "search": search,
}


def main() -> int:
    """Measure, print, and return the exit code: 1 where something did not run as it should."""
    options = _options()
    facts = machine.facts(options.folder)
    processors.stay_with_the_others()
    sections: list[Section] = []
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="askonce-bench-", dir=options.folder) as name,
        StubProvider() as stub,
        databases(Path(name), options.databases) as found,
    ):
        facts["databases"] = [database.version for database in found]
        print(*machine.told(facts), sep="\n", flush=True)
        starter = Starter(Path(name) / "servers", stub)
        bench = Bench(
            databases=found,
            starter=starter,
            stub=stub,
            rounds=3 if options.quick else 5,
            seconds=0.7 if options.quick else 1.5,
            rows=options.rows,
            search_rows=options.search_rows,
            is_quick=options.quick,
        )
        try:
            for measure in options.only:
                for section in MEASURES[measure](bench):
                    sections.append(section)
                    print("", *section.lines(), sep="\n", flush=True)
        finally:
            starter.stop()
    print(f"\n{time.monotonic() - started:.0f} s")
    if options.json:
        figures = [figure for section in sections for figure in section.as_json()]
        told = {"machine": facts, "is_quick": options.quick, "figures": figures}
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", type=_names(MEASURES), default=list(MEASURES), help="measures, by comma"
    )
    parser.add_argument(
        "--databases", type=_names([SQLITE, POSTGRESQL]), default=[SQLITE, POSTGRESQL]
    )
    parser.add_argument("--quick", action="store_true", help="two minutes, and rough")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the long history")
    parser.add_argument("--search-rows", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    return parser.parse_args()


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(written: str) -> list[str]:
        wanted = written.split(",")
        if unknown := [name for name in wanted if name not in known]:
            raise argparse.ArgumentTypeError(f"no {unknown[0]}; there are {', '.join(known)}")
        return wanted

    return names


if __name__ == "__main__":
    sys.exit(main())
