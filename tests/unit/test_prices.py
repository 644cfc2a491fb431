"""What a call cost: exact, and None rather than a guess."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from askonce.providers.prices import Prices

AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def cost(
    provider: str = "claude",
    model: str = "claude-haiku-5-5",
    *,
    prices: Prices | None = None,
    tokens_in: int = 120,
    tokens_out: int = 23,
    cached_read: int = 0,
) -> Decimal | None:
    return (prices or Prices()).cost(provider, model, tokens_in, tokens_out, cached_read, 0, AT)


@pytest.mark.parametrize(
    ("provider", "model"), [("claude", "claude-haiku-5-5"), ("openai", "gpt-6-luna")]
)
def test_a_known_model_is_priced_to_the_last_digit(provider: str, model: str) -> None:
    # $0.10 per million tokens in, $0.50 out.
    assert cost(provider, model) == Decimal("0.0000235")


def test_cached_tokens_are_part_of_the_input_and_cheaper() -> None:
    half_cached = cost(tokens_in=1_000, cached_read=500)
    uncached = cost(tokens_in=1_000)

    assert half_cached is not None
    assert uncached is not None
    assert Decimal(0) < half_cached < uncached


@pytest.mark.parametrize(
    ("provider", "model"),
    [("claude", "claude-of-tomorrow"), ("openai", "gpt-6.2-astra"), ("somebody", "gpt-6-luna")],
)
def test_what_is_not_known_costs_none_and_not_nothing(provider: str, model: str) -> None:
    assert cost(provider, model) is None


def test_the_operators_own_price_wins_and_is_per_million_tokens() -> None:
    prices = Prices({"claude-haiku-5-5": (Decimal("1.5"), Decimal(10))})

    assert cost(prices=prices, tokens_in=2, tokens_out=1) == Decimal("0.000013")


def test_usage_that_contradicts_itself_has_no_price() -> None:
    assert cost(tokens_in=10, cached_read=500) is None
