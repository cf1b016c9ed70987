"""The client for asyncio."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _adapters, _driven
from ._errors import Error
from ._lease import Lease, Token
from ._secrets import SecretFunction
from ._send import sender_of

if TYPE_CHECKING:
    import os
    from types import TracebackType

    import aiohttp
    import httpx


class AsyncClient:
    """One identity, its targets, and their tokens, for asyncio.

        async with httpx.AsyncClient() as http, svcauth.AsyncClient.open("svcauth.json", http=http) as client:
            response = await http.get(url, auth=client.auth())

    Nothing in it blocks the event loop. The client's own requests, to the authorization server, go out on `http`, an
    `httpx.AsyncClient` or an `aiohttp.ClientSession`: TLS and proxies are its business then. Without it they go through
    svcauth's own HTTP client, on threads of its own.

    A task that is cancelled ends its own waiting and never the request that others wait for. Use a client in one event
    loop at a time.
    """
