"""How many tokens models take."""

from askonce.providers import local
from askonce.providers.windows import ContextWindows


def test_windows_are_those_that_are_known() -> None:
    windows = ContextWindows()

    assert windows.tokens("claude", "claude-haiku-5-5") == 1_000_000
    assert windows.tokens("claude", "claude-haiku-4-5") == 200_000
    assert windows.tokens("local", local.LOCAL_MODEL) == 8192


def test_a_model_that_nobody_knows_has_a_cautious_window() -> None:
    windows = ContextWindows()

    assert windows.tokens("openai", "my-own-model") == 128_000
    assert windows.tokens("another", "model") == 128_000


def test_the_operators_word_goes_before_what_is_known() -> None:
    windows = ContextWindows({"claude-haiku-5-5": 5000, "*": 9000})

    assert windows.tokens("claude", "claude-haiku-5-5") == 5000
    assert windows.tokens("local", local.LOCAL_MODEL) == 9000
