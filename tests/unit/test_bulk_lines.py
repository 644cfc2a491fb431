"""What `askonce batch` reads, and which faults stay in their lines."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from askonce.cli.bulk.files import Files
from askonce.cli.bulk.lines import MOST_BYTES, Format, Line, Reading
from askonce.cli.bulk.stopping import StopBatchError


def read(content: bytes, form: Format = Format.JSONL, **options: Any) -> list[Line]:
    reading = Reading(format=form, user_id="ann", **options)
    return list(reading.lines(io.BytesIO(content)))


def faults(lines: list[Line]) -> dict[int, tuple[str, str] | None]:
    return {
        line.number: None if line.fault is None else (line.fault.field, line.fault.message)
        for line in lines
    }


def test_each_line_that_is_not_blank_is_read_with_its_number_as_editors_count() -> None:
    first, second = read(b'\xef\xbb\xbf{"text": "a"}\r\n\n  \n{"text": "b", "user_id": "bob"}')
    assert (first.number, first.user_id, first.asked) == (1, "ann", {"text": "a"})
    assert (second.number, second.user_id, second.asked) == (4, "bob", {"text": "b"})


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        (b'{"text": "a"', "", "is not JSON"),
        (b"[1]", "", "is not a JSON object"),
        (b'{"text": NaN}', "", "is not JSON"),
        (b"[" * 100_000, "", "is not JSON"),
        (b'{"text": "\xff"}', "", "is not UTF-8"),
        (b"{}", "text", "is missing"),
        (b'{"text": null}', "text", "is missing"),
        (b'{"txt": "a"}', "txt", "is not a known field"),
        (b'{"text": "a\\ud800"}', "text", "surrogate"),
        (b'{"text": "a", "instructions": 1e999}', "instructions", "cannot be sent"),
        (b'{"text": "a", "user_id": "a/b"}', "user_id", "characters"),
        (b'{"text": "a", "user_id": 7}', "user_id", "characters"),
        (b'{"text": "a", "id": {}}', "id", "neither"),
        (b'{"text": "' + b"a" * MOST_BYTES + b'"}', "", "longer than"),
    ],
)
def test_a_bad_line_says_what_is_wrong_and_the_next_is_read_all_the_same(
    line: bytes, field: str, words: str
) -> None:
    bad, good = read(line + b'\n{"text": "next"}\n')
    assert bad.fault is not None
    assert bad.fault.field == field
    assert words in bad.fault.message
    assert good.asked == {"text": "next"}
    assert good.number == 2


def test_csv_has_the_same_columns_and_an_empty_cell_says_nothing() -> None:
    schema = json.dumps({"type": "object"}).replace('"', '""')
    rows = f'text,user_id,max_output_tokens,output_schema\n"two\nlines",bob,7,"{schema}"\nb,,,\n'
    first, second = read(rows.encode(), Format.CSV)
    assert first.asked == {
        "text": "two\nlines",
        "max_output_tokens": 7,
        "output_schema": {"type": "object"},
    }
    assert (first.number, first.user_id) == (2, "bob")
    assert (second.number, second.user_id, second.asked) == (4, "ann", {"text": "b"})


def test_a_bad_row_of_csv_leaves_the_others_alone() -> None:
    rows = b'text,output_schema\n\xff,\na,b,c\nd,nonsense\n"e"f,\ng,\n'
    assert faults(read(rows, Format.CSV)) == {
        2: ("text", "is not UTF-8, or holds a lone surrogate"),
        3: ("", "has 3 cells, not 2"),
        4: ("output_schema", "is not JSON"),
        5: ("", "is not CSV: is a quote left open, or does one stand inside a cell?"),
        6: None,
    }


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "no column text"),
        (b"review", "no column text"),
        (b"text,text", "two columns"),
        (b"text,review", "'review'"),
    ],
)
def test_a_head_that_does_not_fit_stops_before_anything_is_asked(head: bytes, words: str) -> None:
    with pytest.raises(StopBatchError, match=words):
        read(head + b"\na,b\n", Format.CSV)


def test_another_column_can_have_the_text_and_unknown_ones_be_passed_over() -> None:
    (line,) = read(
        b"stars,review\n5,good\n", Format.CSV, text_column="review", ignores_unknown=True
    )
    assert line.asked == {"text": "good"}
    (line,) = read(b'{"body": "good", "text": 1}', text_column="body", ignores_unknown=True)
    assert line.asked == {"text": "good"}


def test_the_digest_is_that_of_the_line_and_of_what_a_head_makes_of_it() -> None:
    one, other = (read(b'{"text": "%b"}' % text)[0].digest for text in (b"a", b"b"))
    assert one != other
    assert read(b'{"text": "a"}\n')[0].digest == read(b'{"text": "a"}')[0].digest == one
    named = [
        read(head + b"\na,b\n", Format.CSV)[0].digest for head in (b"text,model", b"model,text")
    ]
    assert named[0] != named[1]


def test_files_that_cannot_be_what_they_are_named_for_are_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "hello"}\n')
    reading = Reading(format=Format.JSONL, user_id="ann")
    out = tmp_path / "out.jsonl"
    os.mkfifo(tmp_path / "pipe")

    def refused(**changes: Any) -> str:
        given: dict[str, Any] = {"source": str(source), "out": out, "errors": None} | changes
        with pytest.raises(StopBatchError) as caught:
            Files(reading=reading, **given).check()
        assert caught.value.is_wrong_use
        return str(caught.value)

    assert "there is no such file" in refused(source=str(tmp_path / "nope.jsonl"))
    assert "is no file" in refused(out=tmp_path / "pipe")
    assert "there is no such folder" in refused(out=tmp_path / "nope" / "out.jsonl")
    assert "is named twice" in refused(out=source)
    assert "is named twice" in refused(errors=out)
    Files(reading=reading, source=str(source), out=out, errors=None).check()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "pipe"]
