"""`python -m benchmarks`: what askonce does, costs and takes, in one run on one machine."""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

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
# A quick run has no time for these, unless they are asked for.
_LENGTHY = ("inflight", "search")


def main() -> None:
    """Measure what was asked for; print it as it comes, write it as JSON in the end."""
    options = _options()
    facts = machine.facts(options.folder)
    processors.stay_with_the_others()
    sections: list[Section] = []
    started = time.monotonic()
    try:
        for section in _measured(options, facts):
            sections.append(section)
            print("", *section.lines(), sep="\n", flush=True)
    finally:
        if options.json:
            figures = [figure for section in sections for figure in section.as_json()]
            told = {"machine": facts, "is_quick": options.quick, "figures": figures}
            options.json.write_text(json.dumps(told, indent=1) + "\n")
    print(f"\n{time.monotonic() - started:.0f} s")


def _measured(options: argparse.Namespace, facts: dict[str, Any]) -> Iterator[Section]:
    with (
        tempfile.TemporaryDirectory(prefix="askonce-bench-", dir=options.folder) as name,
        StubProvider() as stub,
        databases(Path(name), options.databases) as found,
        Starter(Path(name) / "servers", stub) as starter,
    ):
        facts["databases"] = [database.version for database in found]
        print(*machine.told(facts), sep="\n", flush=True)
        bench = Bench(
            databases=found,
            starter=starter,
            stub=stub,
            is_quick=options.quick,
            rounds=3 if options.quick else 5,
            seconds=0.5 if options.quick else 1.3,
            rows=options.rows or (200_000 if options.quick else 1_000_000),
            search_rows=options.search_rows or (20_000 if options.quick else 200_000),
        )
        for measure in options.only or _all(is_quick=options.quick):
            yield from MEASURES[measure](bench)


def _all(*, is_quick: bool) -> list[str]:
    return [name for name in MEASURES if not (is_quick and name in _LENGTHY)]


def _options() -> argparse.Namespace:
    kinds = [SQLITE, POSTGRESQL]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--only", type=_names(MEASURES), help=f"by comma: {','.join(MEASURES)}")
    add("--databases", type=_names(kinds), default=kinds, help=f"by comma: {','.join(kinds)}")
    add("--quick", action="store_true", help="rough, and in about two minutes")
    add("--json", type=Path, help="write the figures into this file, too")
    add("--rows", type=int, help="how long the long history is; 1000000, quick 200000")
    add("--search-rows", type=int, help="answers to search in; 200000, quick 20000")
    add("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where databases lie")
    return parser.parse_args()


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(written: str) -> list[str]:
        wanted = written.split(",")
        if unknown := [name for name in wanted if name not in known]:
            raise argparse.ArgumentTypeError(f"no {unknown[0]}; there are {', '.join(known)}")
        return wanted

    return names


if __name__ == "__main__":
    main()
