"""A disk without room: nothing is bought that could not be stored, and nothing is restarted."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.asking import analyze, get, history, question, under_way
from tests.e2e.records import outcomes
from tests.serving import Servers, until
from tests.stub.client import StubProvider


class SmallDisk:
    """A file system of 8 MB with a database on it."""

    def __init__(self, folder: Path, sqlite_url: str) -> None:
        shutil.copy(sqlite_url.removeprefix("sqlite:///"), folder / "askonce.db")
        self.url = f"sqlite:///{folder / 'askonce.db'}"
        self.spool = folder / "spool"
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path, sqlite_url: str) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield SmallDisk(folder, sqlite_url)
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_buys_nothing_while_the_disk_is_full_and_goes_on_when_there_is_room(
    servers: Servers, stub: StubProvider, disk: SmallDisk
) -> None:
    server = servers.start(disk.url, ASKONCE_SPOOL=disk.spool)
    analyze(server, "What is known?")

    disk.fill()
    full = [analyze(server, "What is new?"), analyze(server, "What is known?")]
    read = get(server, "/history/ann")
    disk.free()
    known, new = analyze(server, "What is known?"), analyze(server, "What is new?")

    assert [(reply.status, reply.problem) for reply in full] == [(503, "database-unavailable")] * 2
    assert [reply.headers["retry-after"] for reply in full] == ["5", "5"]
    assert (read.status, len(read.json["items"])) == (200, 1)
    assert (known.status, known.json["cached"]) == (200, True)
    assert (new.status, new.json["cached"]) == (200, False)
    assert len(stub.calls()) == 2


def test_an_answer_for_which_there_was_no_room_is_kept_when_there_is(
    servers: Servers, stub: StubProvider, disk: SmallDisk
) -> None:
    server = servers.start(disk.url, ASKONCE_SPOOL=disk.spool)

    with under_way(question(server, "Is there room? [[held=start]]")) as replies:
        until(lambda: len(stub.calls()) == 1)
        disk.fill()
        stub.let_go()
        until(lambda: "spool_not_usable" in server.log())
        disk.free()
        reply = replies()[0]

    assert reply.status == 200
    assert [row["id"] for row in history(server)] == [reply.json["id"]]
    assert outcomes(disk.url) == ["answered"]
    assert server.log().count("spool_not_usable") == 1
