"""What a model says is shown, and never obeyed by the terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cli.printable import printable
from askonce.cli.showing import as_json

ATTACKS = [
    "\x1b]0;title\x07",  # sets the window's title
    "\x1b]52;c;cm0gLXJmIC8=\x07",  # fills the clipboard
    "\x1b[2J\x1b[1;1H",  # clears the screen
    "\x9b31m",  # the same introducer in one character (C1)
    "safe\rrm -rf /",  # goes back and writes over
    "\x08\x08\x7f",
    "\u202egpj.exe",  # turns the direction around
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_a_terminal_obeys_is_left(attack: str) -> None:
    for shown in (printable(attack), as_json(attack)):
        assert not set(shown) & set("\x1b\x07\x08\r\x7f\x9b\u202e\x00")


def test_text_is_shown_as_it_is() -> None:
    text = "Zeile 1\n\tZeile 2: größer, 日本語, 👩‍👩‍👧, e\u0301"

    assert printable(text) == text


@given(st.text(st.characters(codec=None)))
def test_every_text_can_be_printed_and_stays_what_it_was_as_json(text: str) -> None:
    shown = printable(text)

    shown.encode()
    assert all(character >= " " or character in "\n\t" for character in shown)
    assert json.loads(as_json(text)) == text
