"""Why a batch stops before its end, in words for who runs it."""

from dataclasses import dataclass


@dataclass
class StopBatchError(Exception):
    """Nothing more can be done now. The batch is as it was, and can be resumed.

    `is_wrong_use`: not before the command or a file is changed.
    """

    message: str
    is_wrong_use: bool = False

    def __str__(self) -> str:
        return self.message


class WaitingError(StopBatchError):
    """The next line has no answer yet: a vendor is still at it."""
