"""What somebody who starts it wants to know first: where it is, who answers, what to try."""

import sys
from dataclasses import dataclass
from typing import Final

import typer

from askonce import __version__
from askonce.config import Settings
from askonce.providers.local import LOCAL_MODEL
from askonce.providers.local import NAME as LOCAL
from askonce.telemetry import log

_SMALL: Final = (
    "The embedded model answers. It is small, is there for trying things out, and is often wrong:"
    "\nset ANTHROPIC_API_KEY or OPENAI_API_KEY, in the environment or in .env, for a real one."
)
_BODY: Final = '{"text": "What is the capital of France?"}'


@dataclass(frozen=True, slots=True)
class Welcome:
    """Where a service with these settings is, on the port that it really listens on."""

    settings: Settings
    port: int
    has_keys: bool

    @property
    def url(self) -> str:
        """The service's address."""
        host = self.settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def provider(self) -> str:
        """Who answers requests that name nobody."""
        if self.settings.provider:
            return self.settings.provider
        if self.settings.anthropic_api_key:
            return "claude"
        return "openai" if self.settings.openai_api_key else LOCAL

    @property
    def model(self) -> str:
        """The provider's model."""
        models = {"claude": self.settings.claude_model, "openai": self.settings.openai_model}
        return models.get(self.provider, LOCAL_MODEL)

    def text(self) -> str:
        """Return it for people, with a command to paste."""
        url = self.url
        key = '-H "authorization: Bearer $KEY" ' if self.has_keys else ""
        small = f"\n{_SMALL}\n" if self.provider == LOCAL else ""
        return f"""\
askonce {__version__} answers on {url} (Ctrl-C stops it)
  console        {url}/
  documentation  {url}/docs
  provider       {self.provider} ({self.model})
  database       {_without_secrets(self.settings.database_url)}
{small}
Ask once, and then again:
  curl -i {url}/analyze/alice {key}-H 'content-type: application/json' -d '{_BODY}'
"""

    def tell(self) -> None:
        """Tell it to whoever looks on; where nobody does, it is one event of the log.

        Standard output may be a pipe to a program, and the log is not to be spoilt by lines that
        are none of it: `make run | cat` shows it on the terminal all the same, systemd and
        containers keep it as JSON.
        """
        if sys.stdout.isatty() or sys.stderr.isatty():
            typer.echo(self.text(), err=not sys.stdout.isatty())
            return
        log.info(
            "listening",
            url=self.url,
            console=f"{self.url}/",
            docs=f"{self.url}/docs",
            provider=self.provider,
            model=self.model,
            needs_key=self.has_keys,
        )


def _without_secrets(database_url: str) -> str:
    """Return the URL without user, password and parameters, which may hold one."""
    scheme, _, rest = database_url.partition("://")
    if scheme.startswith("sqlite"):
        return database_url
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
