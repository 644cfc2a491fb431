"""What a measure works with."""

from dataclasses import dataclass

from benchmarks.databases import Database
from benchmarks.servers import Starter
from tests.stub.client import StubProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Databases, a way to start servers, and how thorough to be.

    `rounds` are interleaved, each of `seconds`; `rows` is how long the history shall be.
    """

    databases: list[Database]
    starter: Starter
    stub: StubProvider
    rounds: int
    seconds: float
    rows: int
    search_rows: int
    is_quick: bool
