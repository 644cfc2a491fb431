"""Settings, read once from the environment and from `.env`."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from askonce.core.errors import ConfigurationError
from askonce.core.limits import Rate

PREFIX = "ASKONCE_"
ENV_FILE = ".env"

# Less would not hold a question, its answer and what they are wrapped in.
_SMALLEST_WINDOW = 512

ProviderName = Literal["claude", "openai", "local"]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


def _sendable(key: SecretStr) -> SecretStr:
    # Else it fails in the HTTP client, call by call, long after the start.
    if re.fullmatch("[!-~]+", key.get_secret_value()) is None:
        message = "may hold printable ASCII characters only, and no blank or line break"
        raise ValueError(message)
    return key


def _reachable(url: str) -> str:
    message = "is not an address such as https://api.example.com/v1"
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        raise ValueError(message) from None
    if not is_whole or parts.query or parts.fragment or not re.fullmatch("[!-~]+", url):
        raise ValueError(message)
    return url


# Dollars per million tokens; with 6 decimals at most a token costs whole picodollars.
_PRICE = r"[0-9]{1,6}(\.[0-9]{1,6})?/[0-9]{1,6}(\.[0-9]{1,6})?"
Price = tuple[Decimal, Decimal]

ApiKey = Annotated[SecretStr, AfterValidator(_sendable)]
BaseUrl = Annotated[str, AfterValidator(_reachable)]


class Settings(BaseSettings):
    """Everything that can be set. `.env.example` and the README list the same, with defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    database_url: str = Field(
        default="sqlite:///askonce.db",
        validation_alias=AliasChoices("ASKONCE_DATABASE_URL", "DATABASE_URL"),
    )
    migrate: Literal["auto", "never"] = "auto"

    anthropic_api_key: ApiKey | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    openai_api_key: ApiKey | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    anthropic_base_url: BaseUrl | None = Field(default=None, validation_alias="ANTHROPIC_BASE_URL")
    openai_base_url: BaseUrl | None = Field(default=None, validation_alias="OPENAI_BASE_URL")

    provider: ProviderName | None = None
    claude_model: str = Field(default="claude-haiku-5-5", min_length=1, max_length=128)
    openai_model: str = Field(default="gpt-6-luna", min_length=1, max_length=128)
    max_output_tokens: int = Field(default=1024, ge=1, le=1_000_000)

    spool: Path | None = None
    commit_patience: Seconds = 60.0

    context_tokens: Annotated[Mapping[str, int], NoDecode] = {}

    cache_ttl: Annotated[int, Field(ge=0, le=10 * 365 * 86_400)] = 86_400
    cache_scope: Literal["tenant", "user"] = "tenant"

    history_days: Annotated[int, Field(ge=1, le=100 * 366)] | None = None
    prune_interval: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 3600.0

    audit_seal_interval: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 1.0

    provider_timeout: Seconds = 30.0
    deadline: Seconds = 60.0
    max_tries: int = Field(default=3, ge=1, le=20)
    fallbacks: Annotated[tuple[ProviderName, ...], NoDecode] = ()
    circuit_failures: int = Field(default=20, ge=1, le=1_000_000)
    circuit_seconds: Seconds = 30.0
    max_calls: int = Field(default=128, ge=1, le=10_000)
    max_queue: int = Field(default=2000, ge=0, le=1_000_000)

    request_timeout: Seconds = 60.0
    rate_limit: Annotated[tuple[Rate, ...], NoDecode] = ()
    prices: Annotated[Mapping[str, Price], NoDecode] = {}

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["auto", "json", "text"] = "auto"
    log_salt: Annotated[SecretStr, Field(min_length=16)] | None = None
    traces: Literal["auto", "on", "off"] = "auto"
    otlp_endpoint: BaseUrl | None = Field(
        default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT"
    )
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8000, ge=0, le=65_535)
    workers: int = Field(default=1, ge=1, le=256)

    # How soon a lost leader is replaced; shorter only makes sense in tests.
    heartbeat: Seconds = 1.0
    lease: Seconds = 5.0

    @model_validator(mode="after")
    def _leases_outlast_heartbeats(self) -> "Settings":
        if self.lease < 2 * self.heartbeat:
            message = "must be at least twice ASKONCE_HEARTBEAT"
            raise ConfigurationError(f"ASKONCE_LEASE: {message}")
        return self

    @field_validator("fallbacks", mode="before")
    @classmethod
    def _listed(cls, written: Any) -> Any:
        """Return the names in a list that is separated by commas."""
        return (
            [name.strip() for name in written.split(",")] if isinstance(written, str) else written
        )

    @field_validator("rate_limit", mode="before")
    @classmethod
    def _rates(cls, written: Any) -> Any:
        """Return the rates in a list separated by commas, one for each period at most."""
        if not isinstance(written, str):
            return written
        rates = tuple(Rate.of(one.strip()) for one in written.split(","))
        if len({rate.period for rate in rates}) < len(rates):
            message = "names a period twice"
            raise ValueError(message)
        return rates

    @field_validator("prices", mode="before")
    @classmethod
    def _prices(cls, written: Any) -> Any:
        """Return what models cost, in a list separated by commas: my-model=0.25/2.00."""
        if not isinstance(written, str):
            return written
        pairs = [entry.strip().rpartition("=") for entry in written.split(",") if entry.strip()]
        if not all(model and re.fullmatch(_PRICE, price) for model, _, price in pairs):
            message = "has models with dollars per million tokens in and out: my-model=0.25/2.00"
            raise ValueError(message)
        return {model.strip(): price.split("/") for model, _, price in pairs}

    @field_validator("context_tokens", mode="before")
    @classmethod
    def _windows(cls, written: Any) -> Any:
        """Return the windows by model, in a list separated by commas; a number alone is for all."""
        if not isinstance(written, str):
            return written
        pairs = (entry.rpartition("=") for entry in written.split(",") if entry.strip())
        return {model.strip() or "*": tokens.strip() for model, _, tokens in pairs}

    @field_validator("context_tokens")
    @classmethod
    def _wide_enough(cls, windows: Mapping[str, int]) -> Mapping[str, int]:
        if any(tokens < _SMALLEST_WINDOW for tokens in windows.values()):
            message = f"a window has at least {_SMALLEST_WINDOW} tokens"
            raise ValueError(message)
        return windows

    @field_validator("fallbacks")
    @classmethod
    def _each_once(cls, names: tuple[ProviderName, ...]) -> tuple[ProviderName, ...]:
        if len(set(names)) < len(names):
            message = "names a provider twice"
            raise ValueError(message)
        return names


class Remote(BaseSettings):
    """Which running service commands are for, where they are not for the database itself."""

    model_config = Settings.model_config

    url: BaseUrl | None = None
    key: ApiKey | None = None


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: one is wrong; the message is one line, names it and hides its value.
    """
    with _wrong_in_one_line():
        return Settings()


def load_remote(url: str | None, key: str | None) -> Remote:
    """Read which running service is meant; what is given here outranks the environment.

    Raises:
        ConfigurationError: as `load_settings`.
    """
    given: dict[str, Any] = {"url": url, "key": key}
    with _wrong_in_one_line():
        remote = Remote(**{name: value for name, value in given.items() if value is not None})
    if key is not None and remote.url is None:
        raise ConfigurationError("--key is for a running service: say --url, or ASKONCE_URL, too")
    return remote


@contextmanager
def _wrong_in_one_line() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        message = f"{_variable(first['loc'])}: {first['msg'].removeprefix('Value error, ')}"
        raise ConfigurationError(message) from None


def setting_names() -> frozenset[str]:
    """Return the names of all variables that are read."""
    fields = [*Settings.model_fields, *Remote.model_fields]
    return frozenset({"ASKONCE_DATABASE_URL"}.union(_variable((name,)) for name in fields))


def unknown_settings() -> list[str]:
    """Return the names of `ASKONCE_` variables that nothing reads: most often a typing error."""
    known = setting_names()
    given: Iterable[str] = {*os.environ, *dotenv_values(ENV_FILE)}
    return sorted(name for name in given if name.startswith(PREFIX) and name not in known)


def _variable(loc: tuple[int | str, ...]) -> str:
    name = str(loc[0]) if loc else "settings"
    return name if name.isupper() else f"{PREFIX}{name.upper()}"
