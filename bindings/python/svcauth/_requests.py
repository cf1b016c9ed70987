"""What is peculiar to requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests
from requests.cookies import extract_cookies_to_jar
from requests.utils import requote_uri, rewind_body

from ._routes import LEASE
from ._secret import Token

if TYPE_CHECKING:
    from ._auth import Auth

# Nothing lasts for ever.
TIMEOUT = 60.0


class Session(requests.Session):
    """A session whose calls carry the right token. One that is given no time limit has a minute for each answer."""

    def __init__(self, auth: Auth) -> None:
        super().__init__()
        self.auth = self._tells = auth

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        """As of requests; a call without an answer is logged too."""
        if settings.get("timeout") is None:
            settings["timeout"] = TIMEOUT
        try:
            return super().send(request, **settings)
        except (requests.ConnectionError, requests.Timeout) as error:
            # One of a redirect was told where that was sent.
            if error.request is request:
                _tell(self._tells, request, None)
            raise


def _carried(request: requests.PreparedRequest) -> tuple[Token | None, bool]:
    """What of ours a request carries, and whether it has something of the caller's."""
    value = request.headers.get("Authorization")
    if isinstance(value, Token):
        return value, False
    return None, value is not None


def _tell(auth: Auth, request: requests.PreparedRequest, status: int | None) -> None:
    carried, has_authorization = _carried(request)
    auth.tell(auth._client._route(request.url or "", has_authorization), carried, request.method or "", status)


def on_response(auth: Auth, response: requests.Response, settings: dict[str, Any]) -> requests.Response:
    """Deals with an answer before requests follows where it leads."""
    request = response.request
    carried, has_authorization = _carried(request)
    route = auth._client._route(request.url or "", has_authorization)
    auth.tell(route, carried, request.method or "", response.status_code)
    if carried is None:
        return response
    lease = auth.again(route, carried, response.status_code, _challenges(response), replay=_can_be_sent_again(request))
    if lease is not None:
        # Where the second answer leads, requests goes with the headers of the first request.
        carried = request.headers["Authorization"] = lease._authorization
        response = _send_again(request, response, settings)
        auth.tell(route, carried, request.method or "", response.status_code, retried=True)
        auth.again(route, carried, response.status_code, _challenges(response), replay=False)
    if response.is_redirect:
        _prepare_redirect(auth, request, response)
    return response


def _challenges(response: requests.Response) -> list[str]:
    value = response.headers.get("WWW-Authenticate")
    return [] if value is None else [value]


def _can_be_sent_again(request: requests.PreparedRequest) -> bool:
    if request.body is None or isinstance(request.body, (str, bytes)):
        return True
    return isinstance(getattr(request, "_body_position", None), int)


def _send_again(
    request: requests.PreparedRequest, response: requests.Response, settings: dict[str, Any]
) -> requests.Response:
    # Its connection is free for the second attempt once the rest was read.
    response.content  # noqa: B018
    response.close()
    once_more = request.copy()
    if not (request.body is None or isinstance(request.body, (str, bytes))):
        rewind_body(once_more)
    jar: Any = once_more._cookies  # type: ignore[attr-defined]
    extract_cookies_to_jar(jar, request, response.raw)  # type: ignore[no-untyped-call]
    once_more.prepare_cookies(jar)
    again: requests.Response = response.connection.send(once_more, **settings)
    again.history.append(response)
    again.request = once_more
    return again


def _prepare_redirect(auth: Auth, request: requests.PreparedRequest, response: requests.Response) -> None:
    """Requests takes a request's headers along: what must not go there is taken away."""
    to = requests.Session().get_redirect_target(response)
    if to is None:
        return
    if to.startswith("//"):
        to = f"{response.url.partition(':')[0]}:{to}"
    route = auth.redirected(urljoin(response.url, requote_uri(to)), response.url)
    if route is None:
        del request.headers["Authorization"]
    elif route.kind == LEASE:
        request.headers["Authorization"] = auth._client._lease_for(route)._authorization
    elif route.authorization is not None:
        request.headers["Authorization"] = route.authorization
