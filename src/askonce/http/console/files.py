"""What the console's pages load: files that come with askonce, nothing from elsewhere."""

import hashlib
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

import askonce

FOLDER = Path(askonce.__file__).parent / "console"
_PREFIX = "/console/static/"

# Each file is a route of its own: what is not named here cannot be reached.
_FILES = {
    "charts.js": "text/javascript",
    "console.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "theme.js": "text/javascript",
    "vendor/htmx/htmx.min.js": "text/javascript",
    "vendor/uplot/uPlot.iife.min.js": "text/javascript",
    "vendor/uplot/uPlot.min.css": "text/css",
}
# Pages name a file by what is in it, so an old one is never taken for a new one.
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}


def add_files(app: FastAPI) -> None:
    """Serve what pages load."""
    app.router.routes += [_route(name, media_type) for name, media_type in _FILES.items()]


def paths() -> list[str]:
    """Return what `add_files` serves."""
    return [_PREFIX + name for name in _FILES]


def addresses() -> dict[str, str]:
    """Return under which address a page loads each file."""
    return {name: f"{_PREFIX}{name}?v={_digest(name)}" for name in _FILES}


def _digest(name: str) -> str:
    return hashlib.sha256((FOLDER / "static" / name).read_bytes()).hexdigest()[:12]


def _route(name: str, media_type: str) -> Route:
    async def send_file(_: Request) -> Response:
        return FileResponse(FOLDER / "static" / name, media_type=media_type, headers=_HEADERS)

    return Route(_PREFIX + name, send_file, include_in_schema=False)
