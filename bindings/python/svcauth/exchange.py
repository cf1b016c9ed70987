"""Single messages, for programs that do a step of the flow by themselves, with any HTTP library.

Each function makes a `Message`: a request to send as it is, and the reader of its answer. Follow no redirect with it.

    message = svcauth.exchange.token("https://hydra.example/oauth2/token", client_id="bss", client_secret=secret)
    response = requests.request(message.method, message.url, headers=message.headers, data=message.body,
                                allow_redirects=False, timeout=30)
    answer = message.parse(response.status_code, response.headers, response.content)

`Client.exchange(message)` sends it too. Errors are of `svcauth.Error`: an answer that says no is an OAuthError.
"""

from __future__ import annotations

import datetime
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, Union

from . import _errors, _native
from ._secret import Token, takes_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Headers = Union[Mapping[str, str], Iterable[tuple[str, str]], bytes]

Answer = TypeVar("Answer")


class _NotPickled:
    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} may hold secrets and is not pickled")


class Message(_NotPickled, Generic[Answer]):
    """A request to send as it is, and the reader of its answer; any number of times, on any thread."""

    __slots__ = ("_handle", "_read", "body", "headers", "method", "name", "url")

    #: The name of the message: `register`, `token`, …
    name: str
    #: The request's method and absolute URL.
    method: str
    url: str
    #: Its header fields. They may hold secrets.
    headers: dict[str, str]
    #: Its body, None where there is none. A secret.
    body: bytes | None

    def __init__(self, name: str, parameters: Mapping[str, Any], read: Callable[[dict[str, Any]], Answer]) -> None:
        self._handle = 0
        self._read = read
        self.name = name
        given = {each: value for each, value in parameters.items() if value is not None and value is not False}
        try:
            text = json.dumps(given, allow_nan=False, default=_written).encode()
        except (TypeError, ValueError, RecursionError):
            # What it says may name a value, which may be a secret.
            raise _errors.ArgumentError(
                f"the parameters of {name} hold something that JSON does not have", code="invalid_argument"
            ) from None
        self._handle = handle = _native.exchange_new(name.encode(), text)
        self.method = _text(handle, _native.EXCHANGE_TEXT_METHOD).decode()
        self.url = _text(handle, _native.EXCHANGE_TEXT_URL).decode()
        self.body = _text(handle, _native.EXCHANGE_TEXT_BODY) or None
        self.headers = {}
        for line in _text(handle, _native.EXCHANGE_TEXT_HEADERS).decode().splitlines():
            header, _, value = line.partition(": ")
            self.headers[header] = Token(value)

    @takes_secrets
    def parse(self, status: int, headers: Headers, body: bytes) -> Answer:
        """Reads the answer. Raises what it says no with, or what is wrong about it.

        `headers` are a mapping, pairs, or lines of `Name: value`.
        """
        if isinstance(status, bool) or not isinstance(status, int):
            raise _errors.wrong_type("status", "an int", status)
        if not 100 <= status <= 999:
            raise _errors.ArgumentError("this has to be from 100 to 999", code="invalid_argument", member="status")
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise _errors.wrong_type("body", "bytes", body)
        return self._sent_by(lambda handle: _native.exchange_parse(handle, status, _lines(headers), bytes(body)))

    def _sent_by(self, send: Callable[[int], int]) -> Answer:
        return self._read(json.loads(_native.take_text(send(self._handle)) or b"{}"))

    def __del__(self) -> None:
        try:
            _native.exchange_free(self._handle)
        except Exception:
            # The interpreter ends, and the module is gone.
            pass

    def __repr__(self) -> str:
        return f"<svcauth.exchange.Message {self.name}>"


def _text(handle: int, which: int) -> bytes:
    text: bytes = _native.exchange_get_text(handle, which)
    return text


def _written(value: object) -> Any:
    if isinstance(value, (Registration, RefreshToken, TokenExchange, Bare)):
        return value._parameter()
    raise TypeError


def _lines(headers: object) -> bytes:
    if isinstance(headers, bytes):
        return headers
    try:
        items = getattr(headers, "items", None)
        pairs: Any = headers if items is None else items()
        lines = [f"{_one_line(name)}: {_one_line(value)}\r\n" for name, value in pairs]
        return "".join(lines).encode("utf-8", "replace")
    except (TypeError, ValueError):
        raise _errors.wrong_type("headers", "a mapping, pairs, or bytes", headers) from None


def _one_line(text: object) -> str:
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    if not isinstance(text, str):
        raise TypeError
    return text.replace("\r", " ").replace("\n", " ")


@dataclass(frozen=True)
class RefreshToken(_NotPickled):
    """The grant of a refresh token (RFC 6749 section 6)."""

    #: A secret.
    refresh_token: str = field(repr=False)

    def _parameter(self) -> dict[str, Any]:
        return {"type": "refresh_token", "refresh_token": self.refresh_token}


@dataclass(frozen=True)
class TokenExchange(_NotPickled):
    """The grant of another token (RFC 8693)."""

    #: A secret.
    subject_token: str = field(repr=False)
    subject_token_type: str = "urn:ietf:params:oauth:token-type:access_token"
    requested_token_type: str | None = None

    def _parameter(self) -> dict[str, Any]:
        told = {
            "type": "token_exchange",
            "subject_token": self.subject_token,
            "subject_token_type": self.subject_token_type,
        }
        if self.requested_token_type is not None:
            told["requested_token_type"] = self.requested_token_type
        return told


@dataclass(frozen=True)
class Bare:
    """A request without parameters, as OPAAL takes it."""

    #: POST or GET.
    method: str = "POST"

    def _parameter(self) -> dict[str, Any]:
        return {"type": "bare", "method": self.method}


Grant = Union[RefreshToken, TokenExchange, Bare]


@dataclass(frozen=True)
class OAuthAnswer:
    """An error as OAuth has it (RFC 6749 section 4.1.2.1)."""

    error: str
    description: str | None = None
    uri: str | None = None


@dataclass(frozen=True)
class Registration(_NotPickled):
    """All that is known of how a client is registered (RFC 7591 section 3.2.1).

    `to_json` and `from_json` save it, what this version does not know included.
    """

    client_id: str
    #: Secrets; None where there are none.
    client_secret: str | None = field(default=None, repr=False)
    registration_access_token: str | None = field(default=None, repr=False)
    #: Where the registration is managed; None where it cannot be.
    registration_client_uri: str | None = None
    #: When the secret expires; None where it does not.
    client_secret_expires_at: datetime.datetime | None = None
    #: Why the URI that the server gave is left out; None where it is not.
    refused: _errors.Error | None = None
    #: All members as the server gave them.
    whole: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> str:
        """All of it, with its secrets, to be saved."""
        return json.dumps(self._parameter())

    @classmethod
    @takes_secrets
    def from_json(cls, text: str | bytes) -> Registration:
        """Reads what `to_json` wrote."""
        try:
            whole = json.loads(text)
        except (TypeError, ValueError):
            whole = None
        if not isinstance(whole, dict) or not isinstance(whole.get("client_id"), str):
            raise _errors.ArgumentError(
                "this is no registration: a JSON object with a client_id", code="invalid_argument", member="text"
            )
        return _registration({"registration": whole})

    def _parameter(self) -> dict[str, Any]:
        if self.whole:
            return dict(self.whole)
        told = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "registration_access_token": self.registration_access_token,
            "registration_client_uri": self.registration_client_uri,
        }
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True)
class AuthorizationAnswer:
    """Where the authorization endpoint led."""

    #: `login_page`, `callback`, `error_page` or `answered`.
    kind: str
    #: That of the login page.
    location: str | None = None
    #: What a callback or an error page tells.
    error: OAuthAnswer | None = None
    #: Whether a callback carries an authorization code.
    has_code: bool = False
    #: That of kind answered.
    status: int | None = None


@dataclass(frozen=True)
class TokenAnswer(_NotPickled):
    """What a token endpoint answers."""

    #: A secret.
    access_token: str = field(repr=False)
    token_type: str
    #: In seconds; None where the server does not say. More than ten years are a point in time since 1970 (OPAAL).
    expires_in: int | None = None
    #: The granted scopes with a space between them; None where the server does not say, and grants what was asked for.
    scope: str | None = None
    #: A secret.
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_in: int | None = None
    issued_token_type: str | None = None
    #: Whether the answer was JSON and did not say so.
    content_type_mismatch: bool = False
    #: What the server said besides.
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Metadata:
    """What an issuer says of itself (RFC 8414 section 2); None for what it does not say."""

    issuer: str
    token_endpoint: str | None = None
    authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    jwks_uri: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    token_endpoint_auth_methods_supported: Sequence[str] | None = None
    #: What it says besides.
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@takes_secrets
def register(
    endpoint: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    initial_access_token: str | None = None,
    allowed_origins: Sequence[str] = (),
    insecure_http: Sequence[str] = (),
) -> Message[Registration]:
    """Registers a client (RFC 7591 section 3).

    `metadata` is the client's (section 2). `allowed_origins` are where it may be managed, besides the endpoint's own
    origin; `insecure_http` origins that may be spoken to without TLS besides this machine, here as everywhere.
    """
    given = {
        "endpoint": endpoint,
        "metadata": metadata,
        "initial_access_token": initial_access_token,
        "allowed_origins": _list("allowed_origins", allowed_origins),
        "insecure_http": _list("insecure_http", insecure_http),
    }
    return Message("register", given, _registration)


@takes_secrets
def read_registration(
    registration: Registration, *, allowed_origins: Sequence[str] = (), insecure_http: Sequence[str] = ()
) -> Message[Registration]:
    """Reads how a client is registered (RFC 7592 section 2.1). What the server leaves out is kept as it was."""
    given = {
        "registration": _registered(registration),
        "allowed_origins": _list("allowed_origins", allowed_origins),
        "insecure_http": _list("insecure_http", insecure_http),
    }
    return Message("read_registration", given, _registration)


@takes_secrets
def update_registration(
    registration: Registration,
    metadata: Mapping[str, Any] | None = None,
    *,
    allowed_origins: Sequence[str] = (),
    insecure_http: Sequence[str] = (),
) -> Message[Registration]:
    """Changes members of how a client is registered (RFC 7592 section 2.2)."""
    given = {
        "registration": _registered(registration),
        "metadata": metadata,
        "allowed_origins": _list("allowed_origins", allowed_origins),
        "insecure_http": _list("insecure_http", insecure_http),
    }
    return Message("update_registration", given, _registration)


@takes_secrets
def delete_registration(registration: Registration, *, insecure_http: Sequence[str] = ()) -> Message[None]:
    """Ends a registration (RFC 7592 section 2.3)."""
    given = {"registration": _registered(registration), "insecure_http": _list("insecure_http", insecure_http)}
    return Message("delete_registration", given, _nothing)


@takes_secrets
def authorize(
    endpoint: str,
    registration: Registration | None = None,
    *,
    registration_access_token: str | None = None,
    client_id: str | None = None,
    client_secret: str | None = None,
    redirect_uri: str | None = None,
    scopes: Sequence[str] = (),
    response_type: str | None = None,
    state: str | None = None,
    insecure_http: Sequence[str] = (),
) -> Message[AuthorizationAnswer]:
    """The second step of the flow: shows the authorization endpoint the registration's token.

    No access token comes of it. `registration` gives what is not given by itself; `state` is a fresh random text,
    made unless given.
    """
    given = {
        "endpoint": endpoint,
        "registration": None if registration is None else _registered(registration),
        "registration_access_token": registration_access_token,
        "client_id": client_id,
        "client_secret": client_secret,
        "redirect_uri": redirect_uri,
        "scopes": _list("scopes", scopes),
        "response_type": response_type,
        "state": secrets.token_urlsafe(16) if state is None else state,
        "insecure_http": _list("insecure_http", insecure_http),
    }
    return Message("authorize", given, _authorization)


@takes_secrets
def token(
    endpoint: str,
    *,
    client_id: str | None = None,
    client_secret: str | None = None,
    auth: str | None = None,
    basic_encoding: str | None = None,
    grant: Grant | None = None,
    scopes: Sequence[str] = (),
    audience: Sequence[str] = (),
    resource: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
    allow_missing_token_type: bool = False,
    allow_form_answer: bool = False,
    insecure_http: Sequence[str] = (),
) -> Message[TokenAnswer]:
    """Requests an access token (RFC 6749 section 5, RFC 8693), of the client itself unless a `grant` is given.

    `auth` is `client_secret_basic` unless given, `client_secret_post` or `none`; `basic_encoding` is `form` unless
    given (RFC 6749 section 2.3.1), or `raw`.
    """
    given = {
        "endpoint": endpoint,
        "client_id": client_id,
        "client_secret": client_secret,
        "auth": auth,
        "basic_encoding": basic_encoding,
        "grant": grant,
        "scopes": _list("scopes", scopes),
        "audience": _list("audience", audience),
        "resource": _list("resource", resource),
        "parameters": parameters,
        "allow_missing_token_type": allow_missing_token_type,
        "allow_form_answer": allow_form_answer,
        "insecure_http": _list("insecure_http", insecure_http),
    }
    return Message("token", given, lambda told: _known(TokenAnswer, told))


def metadata(issuer: str, *, document: str | None = None, insecure_http: Sequence[str] = ()) -> Message[Metadata]:
    """Fetches what an issuer says of itself (RFC 8414 section 3, OpenID Connect Discovery 1.0 section 4).

    `document` is `openid` unless given, or `oauth`.
    """
    given = {"issuer": issuer, "document": document, "insecure_http": _list("insecure_http", insecure_http)}
    return Message("metadata", given, lambda told: _known(Metadata, told))


def _list(name: str, value: object) -> list[Any] | None:
    if isinstance(value, (str, bytes)):
        raise _errors.wrong_type(name, "a list of texts", value)
    try:
        return list(value) or None  # type: ignore[call-overload]
    except TypeError:
        raise _errors.wrong_type(name, "a list of texts", value) from None


def _registered(value: object) -> Registration:
    if not isinstance(value, Registration):
        raise _errors.wrong_type("registration", "a Registration", value)
    return value


def _nothing(told: dict[str, Any]) -> None:
    return None


def _registration(told: dict[str, Any]) -> Registration:
    whole, refused = told["registration"], told.get("refused_uri")
    ends = whole.get("client_secret_expires_at")
    expires = isinstance(ends, (int, float)) and ends > 0
    return Registration(
        whole["client_id"],
        _secret(whole.get("client_secret")),
        _secret(whole.get("registration_access_token")),
        whole.get("registration_client_uri"),
        datetime.datetime.fromtimestamp(ends, datetime.timezone.utc) if expires else None,
        None if refused is None else _errors.from_json(refused),
        whole,
    )


def _authorization(told: dict[str, Any]) -> AuthorizationAnswer:
    error = told.get("error")
    return AuthorizationAnswer(
        told["kind"],
        told.get("location"),
        None if error is None else OAuthAnswer(error["error"], error.get("description"), error.get("uri")),
        told.get("has_code", False),
        told.get("status"),
    )


def _known(kind: Any, told: dict[str, Any]) -> Any:
    names = {each for each in kind.__dataclass_fields__ if each != "extra"}
    known = {name: value for name, value in told.items() if name in names}
    for name in ("access_token", "refresh_token"):
        if name in known:
            known[name] = _secret(known[name])
    return kind(**known, extra={name: value for name, value in told.items() if name not in names})


def _secret(value: str | None) -> Token | None:
    return None if value is None else Token(value)
