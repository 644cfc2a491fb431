"""A failure is read by other processes as it was written."""

import pytest

from askonce.core import failures
from askonce.core.errors import (
    InputTooLongError,
    InvalidAnswerError,
    ProviderCircuitOpenError,
    ProviderError,
    ProviderExhaustedError,
    ProviderRejectedError,
)


@pytest.mark.parametrize(
    "error",
    [
        ProviderRejectedError("claude", "http-401"),
        InputTooLongError("claude", "input-too-long"),
        InvalidAnswerError("claude", "does not fit the schema"),
        ProviderExhaustedError("claude", "timeout"),
        ProviderExhaustedError("claude", "http-429", retry_after=3600.5),
        ProviderCircuitOpenError("claude", retry_after=12.25),
    ],
    ids=repr,
)
def test_a_failure_is_read_as_it_was_written(error: ProviderError) -> None:
    read = failures.read(failures.written(error))

    assert type(read) is type(error)
    assert vars(read) == vars(error)
