"""Who runs where: the server alone on one processor, everything else on the other.

Everything else is the loader, the stub provider, PostgreSQL and the measuring process itself. The
database stands for one on another machine: what it computes is not counted as the server's.
"""

import os
from pathlib import Path

ALL = sorted(os.sched_getaffinity(0))
SERVER = ALL[0]
OTHERS = ALL[-1]


def stay_with_the_others() -> None:
    """Bind this process and all that it starts from now on to the others' processor."""
    os.sched_setaffinity(0, {OTHERS})


def alone(command: list[str]) -> list[str]:
    """Return the command that runs `command` on the server's processor."""
    return ["taskset", "-c", str(SERVER), *command]


def anywhere(command: list[str]) -> list[str]:
    """Return the command that runs `command` on all processors."""
    return ["taskset", "-c", ",".join(map(str, ALL)), *command]


def busy_seconds(processor: int) -> float:
    """Return how long a processor has been busy since the machine was started."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{processor}":
            idle = int(ticks[3]) + int(ticks[4])
            return (sum(map(int, ticks[:8])) - idle) / os.sysconf("SC_CLK_TCK")
    return 0.0
