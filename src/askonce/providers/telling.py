"""Has each call of a provider traced, and counted however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from askonce.core.answers import Answer
from askonce.core.clock import Clock
from askonce.core.errors import ProviderError
from askonce.core.questions import Question
from askonce.telemetry import traces
from askonce.telemetry.meters import Meters


@dataclass(slots=True)
class Call:
    """What a call has given."""

    answer: Answer | None = None


@contextmanager
def told(name: str, question: Question, *, clock: Clock, meters: Meters) -> Iterator[Call]:
    """Tell of the call that the block makes at the provider of this name."""
    call, began, outcome = Call(), clock.monotonic(), "abandoned"
    try:
        with traces.calling(name, question.model, question.max_output_tokens) as span:
            yield call
            if call.answer is not None:
                span.answered(call.answer)
        outcome = "answered"
    except ProviderError as error:
        outcome = error.reason
        raise
    except Exception:
        outcome = "internal-error"
        raise
    finally:
        meters.provider_called(
            name,
            question.model,
            outcome=outcome,
            seconds=clock.monotonic() - began,
            answer=call.answer,
        )
