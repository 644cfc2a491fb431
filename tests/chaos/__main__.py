"""Real processes under fire, then an audit: `python -m tests.chaos --rounds 500 --seed 1`.

Starts a stub provider, a database and several `askonce serve`, lets clients ask, repeat, delete
and leave, and does one fault a round: kill -9, SIGSTOP and SIGCONT, a crash of PostgreSQL or a
foreign lock on SQLite, provider faults. Then `tests.chaos.accountant` checks every request, every
provider call and every row against what the product promises. Exit code 1: a promise was broken.

One seed draws the same faults and the same clients again, but processes run as they like: what is
rare may take several runs to come back.
"""

import argparse
import pickle
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.accountant import violations
from tests.chaos.evidence import Evidence
from tests.chaos.run import Plan, run
from tests.chaos.violations import Violation

_MOST_SHOWN = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--verbose", action="store_true", help="tell every fault")
    parser.add_argument("--audit", type=Path, help="check the evidence of a failed run again")
    given = parser.parse_args()
    if given.processes < 2:
        parser.error("one process must live while another one is killed: --processes 2 or more")
    if given.audit is not None:
        evidence: Evidence = pickle.loads(given.audit.read_bytes())  # noqa: S301 - our own file
        sys.exit(_told(violations(evidence), ""))
    plan = Plan(
        database=given.database, rounds=given.rounds, seed=given.seed, processes=given.processes
    )
    _say(f"{plan.database}, {plan.rounds} rounds, seed {plan.seed}")
    folder = Path(tempfile.mkdtemp(prefix="askonce-chaos-"))
    evidence = run(plan, folder, say=_say if given.verbose else lambda _: None)
    _say(summary(evidence))
    found = violations(evidence)
    if found:
        (folder / "evidence").write_bytes(pickle.dumps(evidence))
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(_told(found, replay(plan, folder)))


def summary(evidence: Evidence) -> str:
    """Return in one line what happened."""
    statuses = Counter(request.status for request in evidence.requests)
    outcomes = Counter(attempt.outcome for attempt in evidence.attempts)
    kills = sum(replica.killed is not None for replica in evidence.replicas)
    freezes = sum(len(replica.freezes) for replica in evidence.replicas)
    return (
        f"{kills} kills, {freezes} freezes; requests {_counted(statuses)};"
        f" {len(evidence.removals)} deletions; {len(evidence.calls)} provider calls;"
        f" attempts {_counted(outcomes)}"
    )


def replay(plan: Plan, folder: Path) -> str:
    """Return how to run it again, and how to check it again."""
    return (
        f"again: make chaos DATABASE={plan.database} ROUNDS={plan.rounds} SEED={plan.seed}\n"
        f"evidence and logs: {folder}\n"
        f"audit again: .venv/bin/python -m tests.chaos --audit {folder}/evidence"
    )


def _told(found: list[Violation], how_to_replay: str) -> int:
    if not found:
        _say("every promise was kept")
        return 0
    for violation in found[:_MOST_SHOWN]:
        _say(str(violation))
    _say(f"{_counted(Counter(violation.rule for violation in found))}\n{how_to_replay}")
    return 1


def _counted(counter: "Counter[int] | Counter[str]") -> str:
    return ", ".join(f"{count} × {what}" for what, count in sorted(counter.items()))


def _say(what: str) -> None:
    print(what, flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    main()
