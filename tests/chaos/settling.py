"""When all faults are over, everything works again by itself."""

import random
import time
from dataclasses import dataclass
from typing import Final

from tests.chaos.asking import Records, Wanted
from tests.chaos.fleet import Fleet, Running
from tests.chaos.questions import sure_text
from tests.chaos.stores import Store
from tests.chaos.tables import open_owners
from tests.stub.client import StubProvider

_PATIENCE_SECONDS: Final = 30.0
_WARM_UP_SECONDS: Final = 20.0
_SAMPLE: Final = 5


@dataclass(frozen=True, slots=True)
class Settling:
    """The end of a run."""

    fleet: Fleet
    database: Store
    stub: StubProvider
    records: Records

    def stuck(self) -> list[str]:
        """Wait until all is quiet, and return what does not work although no fault is left."""
        end = time.monotonic() + _PATIENCE_SECONDS
        texts = [sure_text("the end"), *self._recent()]
        stuck = [
            f"{replica.name} does not answer {text!r}"
            for replica in self.fleet.ready()
            for text in texts
            if not _is_answered(replica, text, self.records, end)
        ]
        while not self._is_quiet():
            if time.monotonic() > end:
                return [*stuck, "calls that never end"]
            time.sleep(0.1)
        return stuck

    def _recent(self) -> list[str]:
        """Return texts that were asked last, and that the provider does answer in time."""
        recent = {one.text for one in self.records.requests[-400:]}
        sure = sorted(text for text in recent if "hot" in text and "[[slow=0" in text)
        return random.Random(0).sample(sure, min(_SAMPLE, len(sure)))

    def _is_quiet(self) -> bool:
        living = {replica.owner for replica in self.fleet.ready()}
        return self.stub.state()["running"] == 0 and not (open_owners(self.database.url) & living)


def warm_up(replica: Running, records: Records) -> bool:
    """Return whether a new replica answers a question."""
    end = time.monotonic() + _WARM_UP_SECONDS
    return _is_answered(replica, sure_text(replica.name), records, end)


def _is_answered(replica: Running, text: str, records: Records, end: float) -> bool:
    number = 0
    topic = text.partition("?")[0].replace(" ", "-")
    while time.monotonic() < end and replica.killed is None:
        number += 1
        wanted = Wanted(user=f"{replica.name}-{topic}-{number}", text=text)
        request = records.ask(replica, wanted)
        if request is not None and request.is_given:
            return True
        time.sleep(0.1)
    return False
