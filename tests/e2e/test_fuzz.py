"""OpenAPI tells the truth: what it allows and what it forbids is answered as it says.

A short look; `make fuzz` takes a long one.
"""

from pathlib import Path

import pytest

from tests.fuzz.run import admin_key, fuzz
from tests.serving import Servers


@pytest.mark.long
def test_no_answer_is_a_crash_or_undocumented(
    servers: Servers, sqlite_url: str, tmp_path: Path
) -> None:
    key = admin_key(sqlite_url)
    server = servers.start(sqlite_url)

    code, said = fuzz(server.port, tmp_path, key=key, examples=5, seed=1, seconds=10)

    assert code == 0, said
    assert "Stateful" in said
    assert "request_crashed" not in server.log()
    assert "Traceback" not in server.log()
