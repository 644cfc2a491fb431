"""What clients do: many ask few questions, some ask strange ones, some delete, some leave."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from typing import Final

from tests.chaos.asking import Records, Wanted
from tests.chaos.evidence import NO_CACHE, NO_STORE, Request
from tests.chaos.fleet import Fleet, any_of
from tests.chaos.questions import HOT, text_of

_REPEATS: Final = 4
_ROUNDS_A_GENERATION: Final = 8


class Topics:
    """The questions of the day, and which analyses clients were given of them."""

    def __init__(self, seed: int) -> None:
        self.seed: Final = seed
        self.round = 0
        self._given = defaultdict[str, list[int]](list)
        self._lock = threading.Lock()

    def hot(self, drawn: random.Random) -> str:
        """Return one of the few questions that all ask now, or asked a while ago."""
        generation = self.round // _ROUNDS_A_GENERATION - (drawn.random() < 0.2)
        return text_of(f"hot {generation}-{drawn.randrange(HOT)}", self.seed)

    def note(self, request: Request) -> None:
        with self._lock:
            self._given[request.text].append(request.json["id"])

    def take(self, drawn: random.Random) -> int | None:
        """Return an analysis that nobody has deleted yet, and will never return it again."""
        with self._lock:
            texts = [text for text, ids in self._given.items() if ids]
            if not texts:
                return None
            # Mostly a recent question: to delete while it is being asked is what matters.
            ids = self._given[drawn.choice(texts[-12:] if drawn.random() < 0.8 else texts)]
            return ids.pop(drawn.randrange(len(ids)))

    def take_all(self, text: str) -> list[int]:
        with self._lock:
            ids, self._given[text] = self._given[text], []
            return ids


class Client:
    """One of many: does one thing after another, in a thread, until it is told to stop."""

    def __init__(self, number: int, *, fleet: Fleet, topics: Topics, records: Records) -> None:
        self._drawn = random.Random(f"{topics.seed}/client/{number}")
        self._number = number
        self._fleet = fleet
        self._topics = topics
        self._records = records
        self._counter = count(1)
        self._used: list[Wanted] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"client-{number}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_over.set()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        ways: list[tuple[int, Callable[[], None]]] = [
            (55, lambda: self._ask_plainly(self._topics.hot(self._drawn))),
            (10, lambda: self._ask_plainly(self._own_text())),
            (4, lambda: self._ask_plainly(self._topics.hot(self._drawn), NO_CACHE)),
            (3, lambda: self._ask_plainly(self._topics.hot(self._drawn), NO_STORE)),
            (9, self._ask_with_a_key),
            (3, self._repeat_a_key),
            (1, self._misuse_a_key),
            (6, self._leave),
            (12, self._delete_one),
            (3, self._delete_all),
        ]
        doings, odds = [doing for _, doing in ways], [often for often, _ in ways]
        while not self._is_over.is_set():
            self._drawn.choices(doings, odds)[0]()
            self._is_over.wait(self._drawn.expovariate(1 / 0.02))

    def _ask_plainly(self, text: str, rules: str = "") -> None:
        self._ask(self._wanted(text, rules))

    def _leave(self) -> None:
        rules = self._drawn.choice(["", "", "", NO_CACHE, NO_STORE])
        wanted = self._wanted(self._topics.hot(self._drawn), rules)
        self._ask(wanted, leaves_after=self._drawn.uniform(0.001, 0.3))

    def _ask_with_a_key(self) -> None:
        """Ask until there is an outcome; sometimes do not wait for the first request's."""
        text = self._topics.hot(self._drawn) if self._drawn.random() < 0.6 else self._own_text()
        rules = self._drawn.choice(["", "", NO_CACHE, NO_STORE])
        wanted = self._wanted(text, rules, is_keyed=True)
        twin = threading.Thread(target=self._insist, args=(wanted,), daemon=True)
        is_hedged = self._drawn.random() < 0.3
        if is_hedged:
            twin.start()
        self._insist(wanted)
        if is_hedged:
            twin.join()
        self._used.append(wanted)
        if self._drawn.random() < 0.4:
            self._ask(wanted)

    def _insist(self, wanted: Wanted) -> None:
        for _ in range(_REPEATS):
            # A client in a hurry repeats before it has heard anything.
            leaves_after = 0.2 if self._drawn.random() < 0.15 else None
            request = self._ask(wanted, leaves_after=leaves_after)
            if self._is_over.is_set() or (request is not None and 200 <= request.status < 500):
                return
            time.sleep(self._drawn.uniform(0.0, 0.1))

    def _repeat_a_key(self) -> None:
        if self._used:
            self._ask(self._drawn.choice(self._used))

    def _misuse_a_key(self) -> None:
        if self._used:
            used = self._drawn.choice(self._used)
            self._ask(Wanted(user=used.user, text=self._own_text(), key=used.key))

    def _delete_one(self) -> None:
        analysis_id = self._topics.take(self._drawn)
        if analysis_id is not None:
            self._delete(analysis_id)

    def _delete_all(self) -> None:
        """Delete whatever anybody was given of a question, and ask it again; sometimes while its
        entry is being replaced."""
        text = self._topics.hot(self._drawn)
        if self._drawn.random() < 0.5:
            refresh = self._wanted(text, NO_CACHE)
            self._ask(refresh, leaves_after=self._drawn.uniform(0.01, 0.05))
        for analysis_id in self._topics.take_all(text):
            self._delete(analysis_id)
        if not self._is_over.is_set():
            self._ask_plainly(text)

    def _delete(self, analysis_id: int) -> None:
        for _ in range(_REPEATS):
            replica = any_of(self._fleet.ready(), self._drawn)
            removal = replica and self._records.remove(replica, analysis_id)
            if self._is_over.is_set() or (removal and removal.status in {204, 404}):
                return
            time.sleep(self._drawn.uniform(0.0, 0.1))

    def _wanted(self, text: str, rules: str = "", *, is_keyed: bool = False) -> Wanted:
        user = f"c{self._number}-{next(self._counter)}"
        return Wanted(
            user=user,
            text=text,
            rules=rules,
            key=f"key-{user}" if is_keyed else None,
            is_streamed=self._drawn.random() < 0.3,
        )

    def _ask(self, wanted: Wanted, *, leaves_after: float | None = None) -> Request | None:
        replica = any_of(self._fleet.ready(), self._drawn)
        if replica is None:
            time.sleep(0.05)
            return None
        request = self._records.ask(replica, wanted, leaves_after=leaves_after)
        if request is not None and request.is_given:
            self._topics.note(request)
        return request

    def _own_text(self) -> str:
        return text_of(f"own {self._number}-{next(self._counter)}", self._topics.seed)
