"""Whether this process takes requests, and how many it is answering."""


class Door:
    """Opened once the process is ready, closed when it begins to end."""

    def __init__(self) -> None:
        self._is_open = False
        self._inside = 0

    def is_open(self) -> bool:
        return self._is_open

    def is_empty(self) -> bool:
        return self._inside == 0

    def inside(self) -> int:
        """Return how many requests are being answered."""
        return self._inside

    def open(self) -> None:
        self._is_open = True

    def close(self) -> None:
        self._is_open = False

    def __enter__(self) -> None:
        """Count a request while it is being answered; for one thread only."""
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        self._inside -= 1
