"""What is told of sealing: for how long it has not kept up."""

from typing import cast

import pytest

from askonce.core.errors import DatabaseUnavailableError
from askonce.core.seals import Seal
from askonce.services.sealing import Sealer, Sealing
from tests.fakes.clock import FakeClock


class _Sealing:
    """Has nothing to seal, or cannot."""

    def __init__(self) -> None:
        self.is_away = False

    def seal(self) -> Seal | None:
        if self.is_away:
            raise DatabaseUnavailableError
        return None


def test_the_lag_grows_while_nothing_can_be_sealed_and_ends_with_it() -> None:
    clock, sealing = FakeClock(), _Sealing()
    sealer = Sealer(cast("Sealing", sealing), seconds=1.0, clock=clock)
    sealer.seal()
    assert sealer.lag() == 0.0

    sealing.is_away = True
    clock.sleep(100.0)
    sealer.seal()
    assert sealer.lag() == pytest.approx(99.0)

    sealing.is_away = False
    sealer.seal()
    assert sealer.lag() == 0.0


def test_who_does_not_seal_has_no_lag() -> None:
    clock = FakeClock()
    sealer = Sealer(cast("Sealing", _Sealing()), seconds=0.0, clock=clock)
    clock.sleep(100.0)
    assert sealer.lag() == 0.0
