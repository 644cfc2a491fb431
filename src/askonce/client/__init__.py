"""Asks a running askonce from Python: `from askonce import Client`."""

from askonce.client.client import Client
from askonce.client.errors import (
    ClientError,
    OddAnswerError,
    ProblemError,
    StreamBrokenError,
    UnreachableError,
)
from askonce.client.shapes import Analysis, Message, Preferences, Session, Shown
from askonce.client.streams import Stream
from askonce.client.transport import Patience

__all__ = [
    "Analysis",
    "Client",
    "ClientError",
    "Message",
    "OddAnswerError",
    "Patience",
    "Preferences",
    "ProblemError",
    "Session",
    "Shown",
    "Stream",
    "StreamBrokenError",
    "UnreachableError",
]
