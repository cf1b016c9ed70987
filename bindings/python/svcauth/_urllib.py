"""For programs with the standard library only."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.request import Request

from . import _errors
from ._routes import LEASE
from ._secret import Token

if TYPE_CHECKING:
    from http.client import HTTPMessage, HTTPResponse
    from typing import IO

    from ._auth import Auth
    from ._client import Client
    from ._routes import Route


def urlopen(
    client: Client,
    url: str | Request,
    data: bytes | None = None,
    timeout: float = 60,
    *,
    target: str | None = None,
    context: ssl.SSLContext | None = None,
) -> HTTPResponse:
    """As urllib.request.urlopen, with the right token: see `Client.auth`.

    A call that is refused is made once more with a new token, if its data is bytes. Raises urllib.error.HTTPError and
    URLError as the original does, and `svcauth.Error` where no token can be had.
    """
    from ._client import Client

    if not isinstance(client, Client):
        raise _errors.wrong_type("client", "a svcauth.Client", client)
    if not isinstance(url, (str, Request)):
        raise _errors.wrong_type("url", "a str or a urllib.request.Request", url)
    request = Request(url, data) if isinstance(url, str) else url
    if data is not None and request is url:
        request.data = data
    auth = client.auth(target)
    handlers: list[urllib.request.BaseHandler] = [_Bearer(auth), _Redirects(auth)]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    response: HTTPResponse = urllib.request.build_opener(*handlers).open(request, timeout=timeout)
    return response


def _carried(request: Request) -> Token | None:
    value = request.unredirected_hdrs.get("Authorization")
    return value if isinstance(value, Token) else None


class _Bearer(urllib.request.BaseHandler):
    # Behind those that follow redirects, before those that make errors of answers.
    handler_order = 600

    def __init__(self, auth: Auth) -> None:
        self.auth = auth
        self.retried: set[int] = set()

    def http_request(self, request: Request) -> Request:
        if id(request) in self.retried:
            return request
        before = getattr(request, "_svcauth_before", None)
        if before is None:
            carried = self.auth.carried(request.full_url, request.has_header("Authorization"))
        else:
            carried = _after_redirect(self.auth, request.full_url, before)
        if carried is not None:
            request.add_unredirected_header("Authorization", carried)
        return request

    https_request = http_request

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        carried = _carried(request)
        route = self._route(request, carried)
        retried = id(request) in self.retried
        self.auth.tell(route, carried, request.get_method(), response.status, retried)
        if retried:
            self.auth.again(route, carried, response.status, _challenges(response), replay=False)
            return response
        replay = request.data is None or isinstance(request.data, bytes)
        lease = self.auth.again(route, carried, response.status, _challenges(response), replay=replay)
        if lease is None:
            return response
        response.read()
        response.close()
        request.add_unredirected_header("Authorization", lease._authorization)
        self.retried.add(id(request))
        again: HTTPResponse = self.parent.open(request, timeout=request.timeout)
        return again

    https_response = http_response

    def _route(self, request: Request, carried: Token | None) -> Route:
        has_authorization = carried is None and request.has_header("Authorization")
        return self.auth._client._route(request.full_url, has_authorization)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, auth: Auth) -> None:
        self.auth = auth

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        to = super().redirect_request(req, fp, code, msg, headers, newurl)
        if to is not None:
            # Where nothing of ours was carried, nothing is from there on.
            to._svcauth_before = req.full_url if _carried(req) is not None else ""  # type: ignore[attr-defined]
        return to


def _after_redirect(auth: Auth, url: str, before: str) -> Token | None:
    route = auth.redirected(url, before) if before else None
    if route is None:
        return None
    return auth._client._lease_for(route)._authorization if route.kind == LEASE else route.authorization


def _challenges(response: Any) -> list[str]:
    found: list[str] = response.headers.get_all("WWW-Authenticate") or []
    return found
