"""What counts as said: words, numbers, fields, lengths."""

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.evaluation.checks import Said
from askonce.evaluation.expecting import checks_of
from askonce.evaluation.numerals import numbers_in
from askonce.evaluation.pointers import NOTHING, at
from askonce.evaluation.wording import plain


def holds(answer: str, *, data: Any = None, **expect: Any) -> bool:
    """Return whether all that is expected holds of an answer."""
    return all(check.holds(Said(answer, data)) for check in checks_of(expect))


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("You get a REFUND.", "refund"),
        ("Straße 5", "STRASSE"),
        ("Cafe\u0301 au lait", "café"),
        ("non\u00a0breaking   and\nbroken", "breaking and broken"),
        ("It’s “done” – really", 'it\'s "done" - really'),
        ("soft\u00adhyphen and zero\u200bwidth", "softhyphen and zerowidth"),
        ("\uff46\uff55\uff4c\uff4c width", "full width"),
    ],
)
def test_words_are_found_however_they_are_typed(answer: str, wanted: str) -> None:
    assert holds(answer, contains=[wanted])
    assert not holds(answer, excludes=[wanted])


def test_one_of_several_wordings_is_enough_and_each_group_needs_one() -> None:
    groups = [["sorry", "apologise"], ["Monday"]]

    assert holds("We apologise. See you on Monday.", any_of=groups)
    assert not holds("We apologise.", any_of=groups)


@given(st.text())
def test_what_is_plain_stays_so(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@given(st.text(), st.text(), st.text(min_size=1))
def test_an_answer_contains_its_own_words_or_excludes_them(a: str, b: str, words: str) -> None:
    if not plain(words):
        return
    answer = f"{a} {words} {b}"

    assert holds(answer, contains=[words])
    assert not holds(answer, excludes=[words])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("59.90 euros", "59.9"),
        ("59,90 Euro", "59.9"),
        ("1,234.56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("1 234,56", "1234.56"),
        ("1\u202f234,56", "1234.56"),
        ("12'500.50 CHF", "12500.5"),
        ("1,234,567", "1234567"),
        ("1.234", "1.234"),
        ("1.234", "1234"),
        ("-7 degrees", "-7"),
        ("\u22127 degrees", "-7"),
        ("it fell to (-7)", "-7"),
        ("10-20 people", "20"),
        ("A-48213", "48213"),
        ("on 2026.11.22", "11"),
        ("costs 49.", "49"),
        ("\uff14\uff19円", "49"),
        ("12.5%", "12.5"),
        ("0.05", "0.05"),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, number: str) -> None:
    assert Decimal(number) in numbers_in(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("10-20 people", "-20"), ("149.95", "49.95"), ("1234.5", "234.5"), ("0.125", "125")],
)
def test_no_number_is_made_up(text: str, number: str) -> None:
    assert Decimal(number) not in numbers_in(text)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2))
def test_a_number_is_found_in_each_countrys_writing(number: Decimal) -> None:
    english = f"{number:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    french = english.translate(str.maketrans(",.", "\u202f,"))

    for written in (english, german, french, f"{number}"):
        assert number in numbers_in(f"It is {written} in all.")


@given(st.text(alphabet="0123456789.,' -", max_size=200))
def test_no_digits_are_too_odd(text: str) -> None:
    assert all(number.is_finite() for number in numbers_in(text))


def test_a_number_is_near_up_to_its_tolerance() -> None:
    assert holds("12.55 %", numbers=[{"near": 12.5, "tolerance": 0.05}])
    assert not holds("12.56 %", numbers=[{"near": 12.5, "tolerance": 0.05}])
    assert holds("0.3", numbers=[{"near": 0.3}])


@pytest.mark.parametrize(
    ("wanted", "is_met"),
    [
        ({"at": "/a/1/b~1c", "equals": "Yes"}, True),
        ({"at": "/n", "equals": 12}, True),
        ({"at": "/n", "near": 12.1, "tolerance": 0.2}, True),
        ({"at": "/n", "one_of": [11, 12]}, True),
        ({"at": "/t", "equals": True}, True),
        ({"at": "/t", "equals": 1}, False),
        ({"at": "/t", "near": 1}, False),
        ({"at": "/n", "equals": "12"}, False),
        ({"at": "/missing", "equals": "x"}, False),
        ({"at": "/a/01/b~1c", "equals": "yes"}, False),
        ({"at": "/a/-1", "equals": "x"}, False),
        ({"at": "/l", "equals": [1, {"x": "Y"}]}, True),
    ],
)
def test_fields_are_compared_as_json(wanted: dict[str, Any], *, is_met: bool) -> None:
    answer = '{"a": [0, {"b/c": "YES"}], "n": 12.0, "t": true, "l": [1, {"x": "y"}]}'

    assert holds(answer, fields=[wanted]) == is_met
    assert not holds("no JSON at all", fields=[wanted])


@given(
    st.recursive(
        st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_every_place_in_json_can_be_pointed_at(data: Any) -> None:
    def look(node: Any, pointer: str) -> None:
        assert at(data, pointer) == node
        if isinstance(node, list):
            for number, child in enumerate(node):
                look(child, f"{pointer}/{number}")
        if isinstance(node, dict):
            for name, child in node.items():
                look(child, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")

    look(data, "")
    assert at(data, "/no such place/anywhere") is NOTHING


def test_an_answer_in_prose_fits_no_schema_and_json_does() -> None:
    schema = {"type": "object", "required": ["x"]}

    assert holds('{"x": 1}', schema=schema)
    assert not holds('{"y": 1}', schema=schema)
    assert not holds('Here you are: {"x": 1}', schema=schema)
    assert not holds('{"x": NaN}', schema=schema)
    for levels in (900, 100_000):
        assert not holds("[" * levels + "]" * levels, schema=schema)


def test_lengths_are_bounded_on_both_sides() -> None:
    assert holds("one two three", min_words=3, max_words=3, max_characters=13)
    assert not holds("one two three", max_words=2)
    assert not holds("one two three", min_characters=14)


def test_no_pattern_and_no_answer_take_long() -> None:
    # Backtracking engines need 2^50 steps for this one.
    started = time.monotonic()

    assert not holds("a" * 50 + "b" * 100_000, matches=["^(a+)+$"])
    assert not holds("9" * 1_000_000, numbers=[{"near": 1}])
    assert not holds("1 " * 500_000, numbers=[{"near": 3}])

    assert time.monotonic() - started < 60


def test_a_pattern_sees_the_answer_as_it_is() -> None:
    assert holds("Order A-48213.", matches=[r"\bA-\d{5}\b"])
    assert not holds("order a-48213", matches=[r"\bA-\d{5}\b"])
    assert holds("order a-48213", matches=[r"(?i)\bA-\d{5}\b"])
