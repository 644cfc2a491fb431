"""The API described for people: Swagger UI, from files that come with askonce, so also offline."""

from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_STATIC = Path(__file__).parent / "static"

# Each file is a route of its own: what is not named here cannot be reached.
_FILES = {
    "/docs/static/docs.js": ("docs/docs.js", "text/javascript"),
    "/docs/static/favicon.png": ("swagger-ui/favicon-32x32.png", "image/png"),
    "/docs/static/swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js", "text/javascript"),
    "/docs/static/swagger-ui.css": ("swagger-ui/swagger-ui.css", "text/css"),
}

_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
_FILE_HEADERS = {"Cache-Control": "public, max-age=86400"}


def add_docs(app: FastAPI) -> None:
    """Serve `/docs`, which reads `/openapi.json`."""
    app.router.routes.append(_route("/docs", "docs/index.html", "text/html", _PAGE_HEADERS))
    for path, (name, media_type) in _FILES.items():
        app.router.routes.append(_route(path, name, media_type, _FILE_HEADERS))


def paths() -> list[str]:
    """Return what `add_docs` serves."""
    return ["/docs", *_FILES]


def _route(path: str, name: str, media_type: str, headers: dict[str, str]) -> Route:
    async def send_file(_: Request) -> Response:
        return FileResponse(_STATIC / name, media_type=media_type, headers=headers)

    return Route(path, send_file, include_in_schema=False)
