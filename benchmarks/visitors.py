"""The mixed load of the soak: what visitors do, and how often."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from benchmarks.client import Client

_KNOWN = 200
_USERS = 1000
_EVENTS = "text/event-stream"
_SLOW = "[[slow=0.2]]"


@dataclass(slots=True)
class Seen:
    """What visitors saw since somebody last looked. `wrong` are answers that should not be."""

    latencies: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)


class Visitor:
    """Does one thing after the other over one connection, at times `every` seconds apart."""

    def __init__(self, port: int, *, seed: int, numbers: "count[int]", seen: Seen) -> None:
        self._client = Client(port)
        self._draw = random.Random(seed)
        self._numbers = numbers
        self._seen = seen
        self._things: dict[Callable[[], Awaitable[None]], int] = {
            self.ask_what_is_known: 70,
            self.stream_what_is_known: 8,
            self.ask_something_new: 4,
            self.stream_something_new: 3,
            self.ask_while_the_provider_fails: 1,
            self.leave_in_the_middle: 1,
            self.read_history: 6,
            self.search: 2,
            self.delete: 5,
        }

    async def visit(self, until: float, every: float) -> None:
        """Go on until a time (`time.monotonic`)."""
        things, weights = list(self._things), list(self._things.values())
        turn = time.monotonic() + self._draw.random() * every
        while turn < until:
            await asyncio.sleep(max(0.0, turn - time.monotonic()))
            (do,) = self._draw.choices(things, weights)
            started = time.perf_counter()
            try:
                await do()
            except (OSError, asyncio.IncompleteReadError) as error:
                self._seen.wrong[type(error).__name__] += 1
                self._client.leave()
            self._seen.latencies.append(time.perf_counter() - started)
            turn = max(turn + every, time.monotonic())
        self._client.leave()

    async def ask_what_is_known(self) -> None:
        await self._analyze(f"What is known about {self._draw.randrange(_KNOWN)}?")

    async def stream_what_is_known(self) -> None:
        await self._analyze(f"What is known about {self._draw.randrange(_KNOWN)}?", accept=_EVENTS)

    async def ask_something_new(self) -> None:
        await self._analyze(f"What is new about {next(self._numbers)}? {_SLOW}")

    async def stream_something_new(self) -> None:
        await self._analyze(f"What is new about {next(self._numbers)}? {_SLOW}", accept=_EVENTS)

    async def ask_while_the_provider_fails(self) -> None:
        await self._analyze(f"What fails about {next(self._numbers)}? [[500 times=1]]")

    async def leave_in_the_middle(self) -> None:
        text = f"What is left about {next(self._numbers)}? {_SLOW}"
        await self._client.say("POST", f"/analyze/{self._user()}", {"text": text}, accept=_EVENTS)
        await asyncio.sleep(0.02)
        self._client.leave()

    async def read_history(self) -> None:
        self._expect(await self._client.ask("GET", f"/history/{self._user()}"), 200)

    async def search(self) -> None:
        path = f"/history/{self._user()}?q=known+{self._draw.randrange(_KNOWN)}"
        self._expect(await self._client.ask("GET", path), 200)

    async def delete(self) -> None:
        listed = await self._client.ask("GET", f"/history/{self._user()}")
        self._expect(listed, 200)
        if items := json.loads(listed[1]).get("items"):
            chosen = self._draw.choice(items)["id"]
            # Somebody else may have been quicker.
            self._expect(await self._client.ask("DELETE", f"/history/{chosen}"), 204, 404)

    async def _analyze(self, text: str, *, accept: str = "application/json") -> None:
        path = f"/analyze/{self._user()}"
        answer = await self._client.ask("POST", path, {"text": text}, accept=accept)
        self._expect(answer, 200)
        if accept == _EVENTS and b"event: done" not in answer[1]:
            self._seen.wrong["stream without an end"] += 1

    def _expect(self, answer: tuple[int, bytes], *statuses: int) -> None:
        if answer[0] not in statuses:
            self._seen.wrong[str(answer[0])] += 1

    def _user(self) -> str:
        return f"visitor-{self._draw.randrange(_USERS)}"
