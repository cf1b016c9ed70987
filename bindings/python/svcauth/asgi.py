"""Middleware for ASGI applications: FastAPI, Starlette, Quart, Django.

app.add_middleware(svcauth.asgi.PassUser)          # Starlette, FastAPI
app = svcauth.asgi.PassUser(app)                   # any
"""

from __future__ import annotations

from collections.abc import Awaitable, MutableMapping
from typing import Any, Callable

from ._user import User, bearer, current, user

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["PassUser", "RequireUser"]


class PassUser:
    """Takes the bearer token of the inbound request, where there is one, as the user of the calls that are made while
    the request is answered, as `svcauth.user_token` does.

    It checks nothing: put it behind what authenticates the request.
    """

    _required = False

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        before = user.set(User(_token(scope), self._required or current().required))
        try:
            await self.app(scope, receive, send)
        finally:
            user.reset(before)


class RequireUser(PassUser):
    """`PassUser` for routes where there must be a user: calls that are made without a user's token are refused, as
    `svcauth.user_required` says."""

    _required = True


def _token(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bearer(value.decode("latin-1"))
    return None
