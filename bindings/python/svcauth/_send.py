"""Sends the core's requests as they are, on the HTTP client of the program: no redirect is followed, no cookie and no
authentication of that client's added, and every answer has an end in time and size."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from . import _native

if TYPE_CHECKING:
    import aiohttp
    import httpx

    HTTPClient = Union[httpx.AsyncClient, aiohttp.ClientSession]


class Request(NamedTuple):
    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    timeout: float
    """In seconds, for all of it."""
    most: int
    """How large the answer's body may be, in bytes."""


class Answer(NamedTuple):
    status: int
    fields: bytes
    """Lines of `Name: value`, as they stand on the wire."""
    body: bytes


class SendFailed(Exception):
    """Why no answer came. Refused and TLS mean that the server certainly has not received the request."""

    def __init__(self, kind: int, detail: str = "") -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Sender:
    """One HTTP client of the program."""

    async def send(self, request: Request) -> Answer:
        try:
            return await asyncio.wait_for(self.exchange(request), request.timeout)
        except asyncio.TimeoutError:
            raise SendFailed(_native.SEND_FAILURE_TIMEOUT) from None

    async def exchange(self, request: Request) -> Answer:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Gives back what was made for sending; the program's HTTP client is the program's."""


def sender_of(http: Any) -> Sender:
    """For an httpx.AsyncClient or an aiohttp.ClientSession. Neither library is imported for the question."""
    httpx = sys.modules.get("httpx")
    if httpx is not None and isinstance(http, httpx.AsyncClient):
        return HttpxSender(http)
    aiohttp = sys.modules.get("aiohttp")
    if aiohttp is not None and isinstance(http, aiohttp.ClientSession):
        return AiohttpSender(http)
    raise TypeError(f"http is an httpx.AsyncClient, an aiohttp.ClientSession or None, not {type(http).__name__}")


class HttpxSender(Sender):
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def exchange(self, request: Request) -> Answer:
        import httpx

        if self._client.is_closed:
            raise SendFailed(_native.SEND_FAILURE_REFUSED, "the program has closed its httpx.AsyncClient")
        limits = dict.fromkeys(("connect", "read", "write", "pool"), request.timeout)
        # Made here and not by the client, which would add its own headers, cookies and parameters.
        made = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.body, extensions={"timeout": limits}
        )
        try:
            response = await self._client.send(made, stream=True, auth=None, follow_redirects=False)
            try:
                body = await _read(response.aiter_bytes(), request.most)
            finally:
                await response.aclose()
        except httpx.ConnectError as error:
            kind = _native.SEND_FAILURE_TLS if _of_tls(error) else _native.SEND_FAILURE_REFUSED
            raise SendFailed(kind, str(error)) from None
        except (httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
            raise SendFailed(_native.SEND_FAILURE_REFUSED, str(error) or type(error).__name__) from None
        except httpx.TimeoutException:
            raise SendFailed(_native.SEND_FAILURE_TIMEOUT) from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise SendFailed(_native.SEND_FAILURE_BROKEN, str(error) or type(error).__name__) from None
        return Answer(response.status_code, fields(response.headers.raw), body)


class AiohttpSender(Sender):
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._own: aiohttp.ClientSession | None = None

    async def exchange(self, request: Request) -> Answer:
        import aiohttp

        if self._session.closed:
            raise SendFailed(_native.SEND_FAILURE_REFUSED, "the program has closed its aiohttp.ClientSession")
        limits = aiohttp.ClientTimeout(total=request.timeout)
        try:
            async with self._connected().request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
                timeout=limits,
            ) as response:
                body = await _read(response.content.iter_any(), request.most)
                return Answer(response.status, fields(response.raw_headers), body)
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
            raise SendFailed(_native.SEND_FAILURE_TLS, _without_address(error)) from None
        except aiohttp.ClientConnectorError as error:
            raise SendFailed(_native.SEND_FAILURE_REFUSED, _without_address(error)) from None
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL) as error:
            raise SendFailed(_native.SEND_FAILURE_REFUSED, type(error).__name__) from None
        except asyncio.TimeoutError:
            raise SendFailed(_native.SEND_FAILURE_TIMEOUT) from None
        except (aiohttp.ClientError, OSError) as error:
            raise SendFailed(_native.SEND_FAILURE_BROKEN, str(error) or type(error).__name__) from None

    def _connected(self) -> aiohttp.ClientSession:
        """A session with the connections of the program's, and without its headers, cookies and middleware."""
        import aiohttp

        if self._own is None or self._own.closed:
            settings: dict[str, Any] = {}
            proxy = getattr(self._session, "_default_proxy", None)
            if proxy is not None:
                settings["proxy"] = proxy
                settings["proxy_auth"] = getattr(self._session, "_default_proxy_auth", None)
            self._own = aiohttp.ClientSession(
                connector=self._session.connector,
                connector_owner=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=self._session.trust_env,
                **settings,
            )
        return self._own

    async def aclose(self) -> None:
        if self._own is not None:
            await self._own.close()


async def _read(pieces: AsyncIterator[bytes], most: int) -> bytes:
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > most:
            raise SendFailed(_native.SEND_FAILURE_TOO_LARGE)
    return bytes(body)


def fields(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header fields as they stand on the wire; a line end in a value does not make another field."""
    lines = []
    for name, value in headers:
        if b"\r" in value or b"\n" in value:
            value = value.replace(b"\r", b" ").replace(b"\n", b" ")
        lines.append(name + b": " + value + b"\r\n")
    return b"".join(lines)


def _of_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _without_address(error: Any) -> str:
    """The system's words; the core names the address anyway."""
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
    return str(cause or type(error).__name__)
