"""A step that is traced, in the words of the product. No attribute holds what anybody said."""

from collections.abc import Mapping, Sequence
from typing import Self

from askonce.core.answers import Answer

Facts = Mapping[str, str | int | Sequence[str]]
Headers = Sequence[tuple[bytes, bytes]]


class Span:
    """A step that is going on; this one where nobody looks. It ends with its block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def tell(self, facts: Facts) -> None:
        """Say more of it, in the names of OpenTelemetry's semantic conventions."""

    def answer(self, status: int, route: str | None) -> None:
        """Say how a request was answered."""

    def answered(self, answer: Answer) -> None:
        """Say what a provider's call gave and took."""

    def fail(self, kind: str) -> None:
        """Say that it failed, by a word of ours."""
