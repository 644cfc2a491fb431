"""What a call cost, to the last digit, without asking anybody: unknown is None, never 0."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

# How genai-prices calls the vendors.
_VENDORS = {"claude": "anthropic", "openai": "openai"}
_FREE = "local"
_PER = Decimal(1_000_000)
_BATCH_SHARE = Decimal("0.5")


class Prices:
    """Prices of models: the operator's own where given, else those that genai-prices ships.

    `overrides` maps a model to US dollars per million tokens in and out. In a batch, as vendors
    call it, all is at the batch price: of the operator's own prices that is half.
    """

    def __init__(
        self,
        overrides: Mapping[str, tuple[Decimal, Decimal]] | None = None,
        *,
        is_batch: bool = False,
    ) -> None:
        share = _BATCH_SHARE if is_batch else 1
        self._overrides = {
            model: (price[0] * share, price[1] * share)
            for model, price in (overrides or {}).items()
        }
        self._context = {"processing": "batch"} if is_batch else None

    def warm(self) -> None:
        """Load the price list, so that the first answer need not wait for it."""
        import genai_prices  # noqa: F401

    def cost(  # noqa: PLR0917
        self,
        provider: str,
        model: str,
        tokens_in: int,
        tokens_out: int,
        cached_read: int,
        cached_write: int,
        at: datetime,
    ) -> Decimal | None:
        """Return the US dollars of a call made `at`; None where the price is not known.

        `tokens_in` includes `cached_read` and `cached_write`, which have prices of their own.
        """
        own = self._overrides.get(model)
        if own is not None:
            return (tokens_in * own[0] + tokens_out * own[1]) / _PER
        vendor = _VENDORS.get(provider)
        if vendor is None:
            return None

        # Imported late: 1.6 MB of prices take half a second that a cache hit never needs.
        from genai_prices import Usage, calc_price

        usage = Usage(
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cache_read_tokens=cached_read,
            cache_write_tokens=cached_write,
        )
        try:
            price = calc_price(
                usage,
                model,
                provider_id=vendor,
                genai_request_timestamp=at,
                price_context=self._context,
            )
        except (ArithmeticError, LookupError, TypeError, ValueError):
            # Whatever a price list cannot do, the answer was paid for and must get through.
            return None
        return price.total_price

    def most(
        self, provider: str, model: str, *, tokens_in: int, tokens_out: int, at: datetime
    ) -> Decimal | None:
        """Return the most US dollars that so many tokens can cost; None: no price is known.

        Some vendors take more for a prompt that they keep for a while, and keep it unasked.
        """
        if provider == _FREE and model not in self._overrides:
            return Decimal(0)
        plain, kept = (
            self.cost(provider, model, tokens_in, tokens_out, 0, written, at)
            for written in (0, tokens_in)
        )
        return None if plain is None or kept is None else max(plain, kept)


def context_window(provider: str, model: str) -> int | None:
    """Return how many tokens a model takes in one call; None where that is not known."""
    vendor = _VENDORS.get(provider)
    if vendor is None:
        return None

    # Imported late, as above.
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, found = get_snapshot().find_provider_model(model, None, vendor, None)
    except LookupError:
        return None
    return found.context_window
