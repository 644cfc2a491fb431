"""What seals are made of: ranges, canonical bytes, Merkle trees, holes."""

import hashlib
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core import ranges
from askonce.core.seals import (
    PATIENCE,
    Coverage,
    Hole,
    canonical,
    leaf_of,
    read_holes,
    root_of,
    sealed,
    written_holes,
)
from tests.examples import NOW

SECOND = timedelta(seconds=1)
IDS = st.sets(st.integers(1, 200)).map(sorted)
FACT = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"))


def of_rfc(leaves: list[bytes]) -> bytes:
    """Return the Merkle tree hash as RFC 6962 section 2.1 defines it, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    children = of_rfc(leaves[:split]) + of_rfc(leaves[split:])
    return hashlib.sha256(b"\x01" + children).digest()


@given(IDS, IDS)
def test_ranges_are_sets(some: list[int], others: list[int]) -> None:
    left = ranges.without(ranges.ranges_of(some), ranges.ranges_of(others))

    assert left == ranges.ranges_of(sorted(set(some) - set(others)))
    assert ranges.size_of(left) == len(set(some) - set(others))
    assert ranges.read(ranges.written(left)) == left


@pytest.mark.parametrize("text", ["x", "2-1", "5,5", "7,3", "-1", "1-", "1,,2", " 1", "٣"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        ranges.read(text)


@given(st.integers(0, 70))
def test_trees_are_those_of_rfc_6962(size: int) -> None:
    leaves = [hashlib.sha256(b"\x00%d" % number).digest() for number in range(size)]

    assert root_of(leaves) == of_rfc(leaves)


def test_the_empty_tree_is_that_of_rfc_6962() -> None:
    assert root_of([]).hex().startswith("e3b0c44298fc1c14")


@given(st.lists(FACT), st.lists(FACT))
def test_other_facts_have_other_bytes(
    some: list[int | str | None], others: list[int | str | None]
) -> None:
    assert (canonical(some) == canonical(others)) == (some == others)
    assert json.loads(canonical(some)) == some


def test_a_leaf_is_hashed_as_it_is_documented() -> None:
    facts = (1, 1795255200000000, "default", None, "é")

    expected = hashlib.sha256(b'\x00[1,1795255200000000,"default",null,"\\u00e9"]').digest()
    assert leaf_of(facts) == expected


def test_ids_that_are_not_there_yet_stay_open_for_a_while_and_then_no_more() -> None:
    first = Coverage().after([(1, 3), (6, 6)], NOW)
    second = first.after([(5, 5), (8, 8)], NOW + SECOND)
    last = second.after([(9, 9)], NOW + PATIENCE)

    assert first == Coverage(6, [Hole((4, 5), NOW)])
    assert second == Coverage(8, [Hole((4, 4), NOW), Hole((7, 7), NOW + SECOND)])
    assert last == Coverage(9, [Hole((7, 7), NOW + SECOND)])


def test_holes_can_be_written_and_read() -> None:
    holes = [Hole((4, 5), NOW), Hole((7, 7), NOW + timedelta(microseconds=1))]

    assert read_holes(written_holes(holes)) == holes
    assert read_holes("") == []


def test_each_seal_stands_for_all_before_it() -> None:
    leaves = [(number, leaf_of((number,))) for number in range(1, 5)]

    first = sealed(None, leaves[:2], NOW)
    second = sealed(first, leaves[2:], NOW)
    other = sealed(sealed(None, leaves[:1], NOW), leaves[2:], NOW)

    assert (second.number, second.total, second.previous) == (2, 4, first.hash)
    assert second.root == other.root
    assert second.hash != other.hash
