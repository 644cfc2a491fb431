"""Play one schedule again: python -m tests.simulation --seed N [--trace] [--plant BUG]."""

import argparse
import sys

from tests.simulation.accountant import violations
from tests.simulation.planted import PLANTED
from tests.simulation.schedule import Schedule
from tests.simulation.server import Parts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--plant", choices=PLANTED, help="replace a part by a broken one")
    given = parser.parse_args()
    history = Schedule(given.seed, PLANTED[given.plant] if given.plant else Parts()).play()
    if given.trace:
        print(*history.events, sep="\n")  # noqa: T201 - a command line speaks
    found = violations(history)
    print(*found or ["nothing was violated"], sep="\n")  # noqa: T201 - the same
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
