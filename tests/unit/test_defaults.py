"""What a request leaves open is filled from the session, the preferences, the settings."""

import pytest

from askonce.core.errors import InvalidFieldsError, UnknownProviderError
from askonce.core.preferences import NO_WISHES, Wishes
from askonce.services.defaults import Defaults

DEFAULTS = Defaults(
    provider="claude",
    models={"claude": "haiku", "openai": "luna", "local": "small"},
    fixed=frozenset({"local"}),
    max_output_tokens=1024,
    fallbacks=("openai", "local"),
)


def test_settings_fill_what_nobody_says() -> None:
    chosen = DEFAULTS.chosen(NO_WISHES, NO_WISHES)

    assert (chosen.provider, chosen.model, chosen.max_output_tokens) == ("claude", "haiku", 1024)
    assert chosen.instructions is None
    assert chosen.fallbacks == ("openai", "local")


def test_preferences_fill_what_a_request_leaves_open() -> None:
    preferred = Wishes(
        provider="openai", model="astra", instructions="In French.", max_output_tokens=64
    )

    chosen = DEFAULTS.chosen(Wishes(max_output_tokens=8), preferred)

    assert (chosen.provider, chosen.model) == ("openai", "astra")
    assert (chosen.instructions, chosen.max_output_tokens) == ("In French.", 8)


def test_who_prefers_a_provider_has_named_it() -> None:
    preferred = Wishes(provider="openai")

    assert DEFAULTS.chosen(NO_WISHES, preferred) == DEFAULTS.chosen(preferred)
    assert DEFAULTS.chosen(NO_WISHES, preferred).fallbacks == ()


@pytest.mark.parametrize(
    ("wanted", "preferred", "model"),
    [
        (Wishes(provider="openai"), Wishes(provider="claude", model="opus"), "luna"),
        (Wishes(provider="claude"), Wishes(provider="claude", model="opus"), "opus"),
        (Wishes(provider="claude"), Wishes(model="opus"), "opus"),
        (Wishes(provider="openai"), Wishes(model="opus"), "luna"),
        (Wishes(model="sonnet"), Wishes(provider="claude", model="opus"), "sonnet"),
    ],
)
def test_a_model_is_taken_over_only_for_its_own_provider(
    wanted: Wishes, preferred: Wishes, model: str
) -> None:
    assert DEFAULTS.chosen(wanted, preferred).model == model


def test_the_request_goes_before_the_session_and_that_before_the_preferences() -> None:
    request = Wishes(max_output_tokens=1)
    session = Wishes(instructions="From the session.", max_output_tokens=2)
    preferred = Wishes(provider="openai", instructions="From the user.", max_output_tokens=3)

    chosen = DEFAULTS.chosen(request, session, preferred)

    assert (chosen.max_output_tokens, chosen.instructions) == (1, "From the session.")
    assert chosen.provider == "openai"


def test_empty_instructions_are_a_wish_for_none() -> None:
    chosen = DEFAULTS.chosen(Wishes(instructions=""), Wishes(instructions="In French."))

    assert chosen.instructions is None


def test_a_preferred_provider_that_is_gone_is_passed_over() -> None:
    chosen = DEFAULTS.chosen(NO_WISHES, Wishes(provider="gone", model="with it"))

    assert (chosen.provider, chosen.model) == ("claude", "haiku")


def test_a_request_names_only_what_there_is() -> None:
    with pytest.raises(UnknownProviderError):
        DEFAULTS.chosen(Wishes(provider="gone"))
    with pytest.raises(InvalidFieldsError):
        DEFAULTS.chosen(Wishes(provider="local", model="large"))
