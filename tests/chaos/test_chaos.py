"""A short run on each database. `make chaos` runs longer ones."""

from pathlib import Path

import pytest

from tests.chaos.__main__ import replay
from tests.chaos.accountant import violations
from tests.chaos.run import Plan, run


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_promise_is_kept_under_fire(database: str, tmp_path: Path) -> None:
    plan = Plan(database=database, rounds=16, seed=4)

    evidence = run(plan, tmp_path, say=print)

    found = "\n".join(str(violation) for violation in violations(evidence))
    assert not found, f"{found}\n{replay(plan, tmp_path)}"
    assert any(replica.killed for replica in evidence.replicas)
    assert any(replica.freezes for replica in evidence.replicas)
    assert any(request.is_given for request in evidence.requests)
