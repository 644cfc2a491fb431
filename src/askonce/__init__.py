"""An AI analysis service that remembers: the same question is never paid for twice in a day."""

__version__ = "0.1.0"
