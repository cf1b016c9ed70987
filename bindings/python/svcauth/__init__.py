"""Calls between services with the right OAuth 2.0 token.

client = svcauth.Client.open("svcauth.json")
requests.get("https://smd.example/hsm/v2/State/Components", auth=client.auth())
"""

from __future__ import annotations

from ._client import Client
from ._errors import (
    ArgumentError,
    Closed,
    ConfigurationError,
    Error,
    InternalError,
    LibraryError,
    NetworkError,
    OAuthError,
    SecretError,
    ServerError,
    StoreError,
    Timeout,
    UnknownTarget,
    UserTokenMissing,
)
from ._fork import importing
from ._lease import Lease
from ._secret import Token

TYPE_CHECKING = False  # typing's costs an import
if TYPE_CHECKING:
    from typing import Any

    from . import asgi, exchange, wsgi
    from ._aio import AsyncClient
    from ._aio_auth import AsyncAuth
    from ._auth import Auth
    from ._health import Health, Stats, TargetHealth
    from ._urllib import urlopen
    from ._user import require_user, user_required, user_token

__version__ = "0.1.0"

# What is imported when it is asked for, so that importing svcauth is quick: each with the module that has it.
_LATER = {
    "AsyncAuth": "_aio_auth",
    "AsyncClient": "_aio",
    "Auth": "_auth",
    "Health": "_health",
    "Stats": "_health",
    "TargetHealth": "_health",
    "asgi": "",
    "exchange": "",
    "require_user": "_user",
    "urlopen": "_urllib",
    "user_required": "_user",
    "user_token": "_user",
    "wsgi": "",
}

__all__ = [
    "ArgumentError",
    "AsyncAuth",
    "AsyncClient",
    "Auth",
    "Client",
    "Closed",
    "ConfigurationError",
    "Error",
    "Health",
    "InternalError",
    "Lease",
    "LibraryError",
    "NetworkError",
    "OAuthError",
    "SecretError",
    "ServerError",
    "Stats",
    "StoreError",
    "TargetHealth",
    "Timeout",
    "Token",
    "UnknownTarget",
    "UserTokenMissing",
    "asgi",
    "exchange",
    "require_user",
    "urlopen",
    "user_required",
    "user_token",
    "wsgi",
]


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with importing:
        from importlib import import_module

        found = import_module(f"{__name__}.{module or name}")
    value = getattr(found, name) if module else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
