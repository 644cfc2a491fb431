"""What a user or a session wants where a request leaves it open."""

from dataclasses import dataclass, field, replace

LONGEST_INSTRUCTIONS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What may be left open of a question; None is open."""

    provider: str | None = None
    model: str | None = None
    instructions: str | None = field(default=None, repr=False)
    max_output_tokens: int | None = None

    def filled(self, other: "Wishes", *, default_provider: str) -> "Wishes":
        """Return these wishes with what is open taken from the other ones.

        A model belongs to a provider, and is taken over only where the providers are the same.
        """
        provider = self.provider or other.provider
        is_same = (provider or default_provider) == (other.provider or default_provider)
        return replace(
            self,
            provider=provider,
            model=self.model or (other.model if is_same else None),
            instructions=self.instructions if self.instructions is not None else other.instructions,
            max_output_tokens=self.max_output_tokens or other.max_output_tokens,
        )


NO_WISHES = Wishes()
