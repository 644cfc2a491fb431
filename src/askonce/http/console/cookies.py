"""What browsers hold of the console: who is signed in, and which pages a form may come from.

The API never looks at any of this.
"""

import hashlib
import hmac
import re

from fastapi import Request, Response

from askonce.core.sign_ins import LONGEST
from askonce.http.authentication import is_loopback_name

SIGNED_IN = "askonce_session"
# Of a browser that is not signed in: a form of ours must not be sent by others even then.
_VISITING = "askonce_visit"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def is_plain(request: Request) -> bool:
    """Return whether this machine calls itself by name, where no TLS is needed.

    Everywhere else cookies are for HTTPS alone. A proxy need not be believed for that: who reaches
    us without TLS under another name has a browser that refuses the cookie.
    """
    return is_loopback_name(request.headers.get("host", "").encode("latin-1"))


def session_of(request: Request) -> str | None:
    """Return the token of a browser that may be signed in."""
    return _token(request, SIGNED_IN)


def visit_of(request: Request) -> str | None:
    """Return the token of a browser that has seen a page before."""
    return _token(request, _VISITING)


def keep_session(request: Request, response: Response, token: str) -> None:
    """Sign a browser in."""
    _set(request, response, SIGNED_IN, token, same_site="strict")


def forget_session(request: Request, response: Response) -> None:
    """Sign a browser out."""
    _set(request, response, SIGNED_IN, "", same_site="strict", seconds=0)


def keep_visit(request: Request, response: Response, token: str) -> None:
    """Remember a browser that is not signed in.

    Lax: links from elsewhere bring the token along, and so do not replace it. It opens nothing.
    """
    _set(request, response, _VISITING, token, same_site="lax")


def form_token(token: str) -> str:
    """Return what the forms of a browser's pages prove themselves with."""
    return hmac.new(token.encode(), b"askonce console form", hashlib.sha256).hexdigest()


def _token(request: Request, name: str) -> str | None:
    found = request.cookies.get(_named(request, name), "")
    return found if _TOKEN.fullmatch(found) else None


def _set(
    request: Request,
    response: Response,
    name: str,
    value: str,
    *,
    same_site: str,
    seconds: int = int(LONGEST.total_seconds()),
) -> None:
    parts = [
        f"{_named(request, name)}={value}",
        "Path=/",
        f"Max-Age={seconds}",
        "HttpOnly",
        f"SameSite={same_site.capitalize()}",
        *([] if is_plain(request) else ["Secure"]),
    ]
    response.headers.append("set-cookie", "; ".join(parts))


def _named(request: Request, name: str) -> str:
    # A browser takes such a name only from this very host, over TLS, and for all of its paths.
    return name if is_plain(request) else f"__Host-{name}"
