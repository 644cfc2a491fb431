"""Settings: what is accepted, and how a wrong one is named."""

from decimal import Decimal
from pathlib import Path

import pytest

from askonce.config import Settings, load_remote, load_settings
from askonce.core.errors import ConfigurationError
from askonce.core.limits import Rate
from askonce.main.choices import fallbacks

MODELS = {"claude": "claude-haiku-5-5", "local": "smollm2-135m"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Somebody's empty folder, without a `.env`."""
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", ()),
        ("openai", ("openai",)),
        ("openai,local", ("openai", "local")),
        (" local , openai ", ("local", "openai")),
    ],
)
def test_fallbacks_are_a_list_separated_by_commas(
    environment: pytest.MonkeyPatch, written: str, read: tuple[str, ...]
) -> None:
    environment.setenv("ASKONCE_FALLBACKS", written)

    assert load_settings().fallbacks == read


@pytest.mark.parametrize("written", ["bard", "openai,bard", "openai,", "openai;local", "OpenAI"])
def test_a_fallback_that_nobody_knows_stops_the_start(
    environment: pytest.MonkeyPatch, written: str
) -> None:
    environment.setenv("ASKONCE_FALLBACKS", written)

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert str(caught.value) == "ASKONCE_FALLBACKS: Input should be 'claude', 'openai' or 'local'"


def test_a_fallback_is_named_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ASKONCE_FALLBACKS", "openai,local,openai")

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert str(caught.value) == "ASKONCE_FALLBACKS: names a provider twice"


def test_a_fallback_that_is_not_configured_stops_the_start() -> None:
    settings = Settings(_env_file=None, fallbacks=("local", "openai"))

    with pytest.raises(ConfigurationError, match=r"^ASKONCE_FALLBACKS names openai"):
        fallbacks(settings, MODELS)


def test_fallbacks_are_asked_with_their_default_models_in_their_order() -> None:
    settings = Settings(_env_file=None, fallbacks=("local", "claude"))

    assert list(fallbacks(settings, MODELS).items()) == [
        ("local", "smollm2-135m"),
        ("claude", "claude-haiku-5-5"),
    ]


@pytest.mark.parametrize("name", ["ASKONCE_CIRCUIT_FAILURES", "ASKONCE_CIRCUIT_SECONDS"])
def test_a_circuit_needs_a_number_above_nothing(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "0")

    with pytest.raises(ConfigurationError, match=f"^{name}: "):
        load_settings()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("8000", {"*": 8000}),
        ("gpt-6-luna=400000", {"gpt-6-luna": 400000}),
        (" a/b = 4000 , 9000", {"a/b": 4000, "*": 9000}),
        ("ft:gpt=x=4000", {"ft:gpt=x": 4000}),
    ],
)
def test_windows_are_set_for_all_models_or_for_some(
    environment: pytest.MonkeyPatch, written: str, read: dict[str, int]
) -> None:
    environment.setenv("ASKONCE_CONTEXT_TOKENS", written)

    assert load_settings().context_tokens == read


@pytest.mark.parametrize("written", ["a", "a=b", "511", "a=-1", "8000=a"])
def test_a_window_that_is_no_number_of_tokens_stops_the_start(
    environment: pytest.MonkeyPatch, written: str
) -> None:
    environment.setenv("ASKONCE_CONTEXT_TOKENS", written)

    with pytest.raises(ConfigurationError, match=r"^ASKONCE_CONTEXT_TOKENS: "):
        load_settings()


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"])
@pytest.mark.parametrize("key", ["sk-secret\n", "sk-se cret", "sk-sécret", "sk-\x7f"])
def test_a_key_that_no_header_can_carry_stops_the_start(
    environment: pytest.MonkeyPatch, name: str, key: str
) -> None:
    environment.setenv(name, key)

    with pytest.raises(ConfigurationError, match=f"^{name}: ") as caught:
        load_settings()

    assert "sk-" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "api.example.com/v1",
        "localhost:8000",
        "ftp://api.example.com",
        "https://",
        "https://:443",
        "https://api.example.com:99999",
        "https://api.example.com:port",
        "https://[::1",
        "https://api.exam ple.com",
        "https://api.example.com\n",
        "https://api.éxample.com",
        "https://api.example.com/v1?key=1",
        "https://api.example.com/v1#top",
    ],
)
def test_an_address_that_is_none_stops_the_start(
    environment: pytest.MonkeyPatch, name: str, url: str
) -> None:
    environment.setenv(name, url)

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert str(caught.value) == f"{name}: is not an address such as https://api.example.com/v1"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "https://[::1]:8443/v1/",
        "https://u:p@gateway/openai",
        "HTTPS://a.b",
    ],
)
def test_an_address_may_be_anybodys_own(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("OPENAI_BASE_URL", url)

    assert load_settings().openai_base_url == url


def test_rates_are_a_list_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ASKONCE_RATE_LIMIT", "10/second, 1000/hour")

    assert load_settings().rate_limit == (Rate(10, "second"), Rate(1000, "hour"))


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("120", "is not a rate such as 120/minute (second, minute, hour or day)"),
        ("0/minute", "is not a rate such as 120/minute (second, minute, hour or day)"),
        ("1/minute,", "is not a rate such as 120/minute (second, minute, hour or day)"),
        ("1/minute,2/minute", "names a period twice"),
    ],
)
def test_a_wrong_rate_stops_the_start(
    environment: pytest.MonkeyPatch, written: str, complaint: str
) -> None:
    environment.setenv("ASKONCE_RATE_LIMIT", written)

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert str(caught.value) == f"ASKONCE_RATE_LIMIT: {complaint}"


def test_prices_are_exact_and_by_model(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ASKONCE_PRICES", "a/b:c=0.25/2.00, gpt=0.1=0.000001/3")

    assert load_settings().prices == {
        "a/b:c": (Decimal("0.25"), Decimal(2)),
        "gpt=0.1": (Decimal("0.000001"), Decimal(3)),
    }


@pytest.mark.parametrize(
    "written", ["a", "a=1", "=1/2", "a=1/2/3", "a=-1/2", "a=1/nan", "a=0.0000001/1", "a=1e3/2"]
)
def test_a_wrong_price_stops_the_start(environment: pytest.MonkeyPatch, written: str) -> None:
    environment.setenv("ASKONCE_PRICES", written)

    with pytest.raises(ConfigurationError, match=r"^ASKONCE_PRICES: has models with dollars"):
        load_settings()


def test_a_key_that_nobody_would_be_shown_is_no_good(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("ASKONCE_URL", raising=False)

    with pytest.raises(ConfigurationError) as caught:
        load_remote(None, "ask_nothing")

    assert str(caught.value).startswith("--key is for a running service")
    assert load_remote("http://localhost:8000", "ask_nothing").key is not None
