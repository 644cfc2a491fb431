"""An AI analysis service that remembers: the same question is never paid for twice in a day."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from askonce.client import Client as Client

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the client for whoever asks for it; the server has no use for it."""
    if name == "Client":
        from askonce.client import Client  # noqa: PLC0415

        return Client
    raise AttributeError(f"module 'askonce' has no attribute {name!r}")
