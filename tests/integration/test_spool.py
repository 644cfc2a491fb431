"""Paid answers on a real disk."""

import json
import os
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from askonce.core.access import Asker
from askonce.core.conversations import Role, Spoken, Turn
from askonce.core.flights import Lease
from askonce.core.idempotency import IdempotencyKey
from askonce.db.spool import FileSpool
from tests.examples import a_purchase, a_question, an_answer

OTHER_KEY = bytes(32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "askonce.db.spool"


@pytest.fixture
def spool(folder: Path) -> FileSpool:
    return FileSpool(folder)


def only_file(folder: Path) -> Path:
    [file] = folder.iterdir()
    return file


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"answer": an_answer(text="\ud800 \x00 \u2028 🙂", cost=None)},
        {"spent": an_answer(text="not JSON")},
        {"question": a_question(fallbacks=("openai", "local"), output_schema='{"type": "null"}')},
        {"asker": Asker(tenant="t", user_id="u", key=IdempotencyKey(scope=b"s", digest=b"d"))},
        {"has_lease": False, "is_kept": False},
        {"question": a_question(messages=())},
        {
            "question": a_question(
                messages=(Spoken(Role.USER, "Hi"), Spoken(Role.ASSISTANT, "Yes?"))
            ),
            "asker": Asker(
                tenant="t",
                user_id="u",
                turn=Turn(
                    session_id=1,
                    position=3,
                    role=Role.ASSISTANT,
                    sent=3,
                    summarised=0,
                    is_anew=True,
                ),
            ),
        },
    ],
)
def test_what_is_put_there_waits_whole(folder: Path, changes: dict[str, object]) -> None:
    purchase = a_purchase(**changes)

    FileSpool(folder).put(purchase)

    assert FileSpool(folder).waiting() == [purchase]


def test_a_file_that_was_written_before_there_were_conversations_is_read(
    folder: Path, spool: FileSpool
) -> None:
    spool.put(a_purchase())
    facts = json.loads(only_file(folder).read_bytes())
    del facts["question"]["messages"], facts["asker"]["turn"]
    only_file(folder).write_text(json.dumps(facts))

    assert spool.waiting() == [a_purchase()]


def test_nobody_else_can_read_it(folder: Path, spool: FileSpool) -> None:
    spool.put(a_purchase())

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(folder).stat().st_mode) == 0o600


def test_the_answers_to_one_question_are_found_alone(spool: FileSpool) -> None:
    wanted = a_purchase()
    other = a_purchase(lease=Lease(fingerprint=OTHER_KEY, epoch=1, fence=1), attempt_id=2)
    spool.put(other)
    spool.put(wanted)

    assert spool.waiting(wanted.lease.fingerprint) == [wanted]
    assert len(spool.waiting()) == 2


def test_what_was_committed_is_forgotten(folder: Path, spool: FileSpool) -> None:
    spool.put(a_purchase())

    spool.drop(a_purchase())
    spool.drop(a_purchase())

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'{"at": 1}', b"\xff\xfe"])
def test_what_cannot_be_read_is_set_aside_and_the_rest_is_found(
    folder: Path, spool: FileSpool, content: bytes
) -> None:
    spool.put(a_purchase())
    (folder / "0-broken.json").write_bytes(content)

    with capture_logs() as logs:
        waiting = spool.waiting()

    assert waiting == [a_purchase()]
    assert (folder / "0-broken.bad").read_bytes() == content
    assert [(line["event"], line["file"]) for line in logs] == [
        ("spooled_answer_set_aside", "0-broken.json")
    ]


def test_a_file_of_a_later_version_is_set_aside(folder: Path, spool: FileSpool) -> None:
    spool.put(a_purchase())
    file = only_file(folder)
    file.write_text(file.read_text().replace('"max_output_tokens"', '"unheard_of"'))

    assert spool.waiting() == []
    assert only_file(folder).suffix == ".bad"


def test_a_place_that_cannot_be_written_is_told_once_and_survived(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with capture_logs() as logs:
        spool = FileSpool(tmp_path / "file" / "spool")
        spool.put(a_purchase())
        spool.make_safe(a_purchase())

    assert spool.waiting() == []
    assert [line["event"] for line in logs] == ["spool_not_usable"]
    assert "cache" not in str(logs)


def test_a_folder_into_which_others_may_write_is_not_used(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)

    FileSpool(folder).put(a_purchase())

    assert list(folder.iterdir()) == []


def test_what_could_not_be_written_at_first_is_written_when_it_is_made_safe(
    folder: Path, spool: FileSpool
) -> None:
    folder.chmod(0o777)
    spool.put(a_purchase())
    folder.chmod(0o700)

    spool.make_safe(a_purchase())

    assert spool.waiting() == [a_purchase()]


def test_what_a_process_left_half_written_goes_after_an_hour(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    old, new = folder / "old.tmp", folder / "new.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))

    spool = FileSpool(folder)

    assert list(folder.iterdir()) == [new]
    assert spool.waiting() == []
