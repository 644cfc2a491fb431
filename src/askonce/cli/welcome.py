"""What somebody at a terminal wants to know first."""

from askonce import __version__
from askonce.config import Settings


def welcome(settings: Settings, port: int, *, has_keys: bool) -> str:
    """Return where it listens, who answers, and a command to paste."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    key = '-H "authorization: Bearer $KEY" ' if has_keys else ""
    body = '{"text": "What is a cache?"}'
    return f"""\
askonce {__version__} answers on {url} (Ctrl-C stops it)
  documentation  {url}/docs
  provider       {_default_provider(settings)}
  database       {_without_secrets(settings.database_url)}

Ask once, and then again:
  curl -i {url}/analyze/alice {key}-H 'content-type: application/json' -d '{body}'
"""


def _default_provider(settings: Settings) -> str:
    if settings.provider:
        return settings.provider
    if settings.anthropic_api_key:
        return "claude"
    return "openai" if settings.openai_api_key else "local"


def _without_secrets(database_url: str) -> str:
    """Return the URL without user, password and parameters, which may hold one."""
    scheme, _, rest = database_url.partition("://")
    if scheme.startswith("sqlite"):
        return database_url
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
