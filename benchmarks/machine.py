"""What the machine is, as far as it explains the figures."""

import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import processors

_LOOK_SECONDS = 1.0
_MEMORY = ("tmpfs", "ramfs")
# What a machine does that nobody else uses.
_QUIET = 0.05


def facts(folder: Path) -> dict[str, Any]:
    """Return what matters of the machine; no names of hosts or places on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "processors": len(processors.ALL),
        "memory_gib": round(memory / 2**30),
        "file_system": _file_system(folder),
        "python": platform.python_version(),
        "busy_before": round(_busy(), 2),
    }


def told(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the facts in words."""
    yield (
        f"{facts['processors']} x {facts['processor']}, {facts['memory_gib']} GiB,"
        f" {facts['file_system']}, Python {facts['python']}"
    )
    yield ", ".join(str(one) for one in facts.get("databases", []))
    if facts["file_system"] in _MEMORY:
        yield "Databases lie in memory: their commits cost nothing. Choose a --folder on a disk."
    if facts["busy_before"] > _QUIET:
        busy = f"{facts['busy_before']:.0%}"
        yield f"The machine was {busy} busy before this began: these figures are of little use."


def _busy() -> float:
    """Return the share of all processors that was busy during a second."""
    before = sum(map(processors.busy_seconds, processors.ALL))
    time.sleep(_LOOK_SECONDS)
    busy = sum(map(processors.busy_seconds, processors.ALL)) - before
    return busy / _LOOK_SECONDS / len(processors.ALL)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    mounted = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    holding = [
        (len(point), kind)
        for _, point, kind, *_ in mounted
        if folder.resolve().is_relative_to(point)
    ]
    return max(holding)[1]
