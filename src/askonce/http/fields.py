"""The kinds of fields that several bodies have."""

from typing import Annotated

from pydantic import AfterValidator, Field

LONGEST_NAME = 128
MOST_TOKENS = 1_000_000


def _storable(text: str) -> str:
    if "\x00" in text:
        message = "may not contain the character NUL (U+0000)"
        raise ValueError(message)
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "may not contain a lone surrogate"
        raise ValueError(message) from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[
    str, Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[A-Za-z0-9._:/@+-]+$")
]
