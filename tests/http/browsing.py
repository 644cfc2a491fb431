"""A browser without a screen: it keeps cookies, and sends forms as the pages have them."""

import html
import re
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

ORIGIN = "http://localhost"
_HIDDEN = re.compile(r'<input type="hidden" name="csrf" value="([0-9a-f]+)">')
_ONCE = re.compile(r'name="once" value="([A-Za-z0-9_-]+)"')


class Browser:
    """Visits an application; `last` is the page that it shows."""

    def __init__(self, app: Any, origin: str = ORIGIN) -> None:
        self.origin = origin
        self.client = TestClient(
            app, base_url=origin, raise_server_exceptions=False, follow_redirects=False
        )
        self.last: Response | None = None

    def open(self, path: str, **headers: str) -> Response:
        """Open a page."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.last = self.client.get(path, headers=named)
        return self.last

    def token(self, path: str = "/") -> str:
        """Return what the forms of a page prove themselves with."""
        shown = self.open(path).text
        # Each page has it, also one without a form.
        (token,) = set(_HIDDEN.findall(shown)) or set(re.findall(r'data-csrf="(\w+)"', shown))
        return str(token)

    def once(self) -> str:
        """Return what makes a form of the page that is shown a form of its own."""
        assert self.last is not None
        return str(_ONCE.findall(self.last.text)[0])

    def send(
        self, path: str, fields: dict[str, str], *, accept: str = "text/html", **headers: str
    ) -> Response:
        """Send a form, with all that the browser adds to it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"origin": self.origin, "sec-fetch-site": "same-origin", "accept": accept}
        return self.client.post(path, data=fields, headers=sent | named)

    def submit(
        self, path: str, *, on: str = "/", accept: str = "text/html", **fields: str
    ) -> Response:
        """Open a page and send a form of it."""
        return self.send(path, {"csrf": self.token(on), **fields}, accept=accept)

    def sign_in(self, key: str) -> Response:
        """Show a key."""
        return self.submit("/console/sign-in", on="/console/sign-in", key=key)


def text_of(response: Response) -> str:
    """Return what a page says, as a reader sees it: without tags."""
    return html.unescape(re.sub(r"<[^>]*>", " ", response.text))
