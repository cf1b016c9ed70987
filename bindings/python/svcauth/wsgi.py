"""Middleware for WSGI applications: Flask, Django, Pyramid.

app.wsgi_app = svcauth.wsgi.PassUser(app.wsgi_app)         # Flask
application = svcauth.wsgi.PassUser(application)           # any
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any, Callable

from ._user import User, bearer, current, user

Environment = dict[str, Any]
Application = Callable[[Environment, Callable[..., Any]], Iterable[bytes]]

__all__ = ["PassUser", "RequireUser"]


class PassUser:
    """Takes the bearer token of the inbound request, where there is one, as the user of the calls that are made while
    the request is answered, as `svcauth.user_token` does; also while an answer is made piece by piece.

    It checks nothing: put it behind what authenticates the request.
    """

    _required = False

    def __init__(self, app: Application) -> None:
        self.app = app

    def __call__(self, environ: Environment, start_response: Callable[..., Any]) -> Iterable[bytes]:
        # A context of its own: nothing of it is left in a thread that serves the next request.
        context = copy_context()
        field = environ.get("HTTP_AUTHORIZATION")
        token = bearer(field) if field is not None else None
        context.run(user.set, User(token, self._required or current().required))
        answer = context.run(self.app, environ, start_response)
        file_wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(answer, (list, tuple)) or isinstance(file_wrapper, type) and isinstance(answer, file_wrapper):
            return answer
        return _Pieces(answer, context)


class RequireUser(PassUser):
    """`PassUser` for routes where there must be a user: calls that are made without a user's token are refused, as
    `svcauth.user_required` says."""

    _required = True


class _Pieces:
    """An answer whose pieces are made in the context of the request."""

    def __init__(self, answer: Iterable[bytes], context: Context) -> None:
        self._answer = answer
        self._context = context
        self._pieces: Iterator[bytes] = context.run(iter, answer)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._context.run(next, self._pieces)

    def close(self) -> None:
        close = getattr(self._answer, "close", None)
        if close is not None:
            self._context.run(close)
