"""Who may open a page: a secret token in the URL, then a cookie; for every change, a second token in the request.

The server listens on the loopback address only. There, other users of the host, and pages of other sites in the same
browser, can still send it requests. The first know no token. The second cannot read a page (no CORS, SameSite), cannot
reach it under a name of their own (hosts are checked), and cannot change anything: they do not know the token of forms.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Any other host name is refused, such as one that another site points at this host. The port may be the port of a
# tunnel.
HOSTS = ("127.0.0.1", "localhost")
TOKEN = "token"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def _secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class PageAccess:
    """The secrets that open the pages below `path`. Each lab has its own: they open no other page."""

    path: str
    token: str = field(default_factory=_secret)
    form_token: str = field(default_factory=_secret)
    cookie: str = field(default_factory=lambda: f"halab-{secrets.token_hex(4)}")

    def url(self, origin: str) -> str:
        """The address to open, with the token."""
        return f"{origin}{self.path}?{TOKEN}={self.token}"

    def has_token(self, request: Request) -> bool:
        """True if the URL has the token; 403 if it has a wrong one."""
        given = request.query_params.get(TOKEN)
        if given is None:
            return False
        if not _same(given, self.token):
            raise HTTPException(403, "the token in this address is wrong")
        return True

    def require_cookie(self, request: Request) -> None:
        """403 if the browser did not open the page with the token."""
        if not _same(request.cookies.get(self.cookie, ""), self.token):
            raise HTTPException(403, "this page needs the address that `halab serve` printed")

    def require_form(self, request: Request, form_token: str) -> None:
        """403 if a change does not come from a page with this access."""
        self.require_cookie(request)
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            raise HTTPException(403, "the request comes from another site")
        if not _same(form_token, self.form_token):
            raise HTTPException(403, "the request has no valid token: reload the page")


def _same(given: str, right: str) -> bool:
    return secrets.compare_digest(given.encode(), right.encode())


# For the report of a run, which has its styles inside and no script.
REPORT_POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
}


class Headers:
    """Adds headers: a page loads nothing from elsewhere, is not framed or stored, and sends no referrer.

    A header that an answer has already stays as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = message.get("headers", [])
            names = {name.lower() for name, _ in own}
            message["headers"] = [*own, *(header for header in added if header[0] not in names)]
        await send(message)

    return sent
