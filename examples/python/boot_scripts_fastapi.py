"""The same with FastAPI and httpx, on asyncio.

    SVCAUTH_CONFIG=svcauth.json SMD_URL=http://smd:27779 uvicorn boot_scripts_fastapi:app

Both are read when it starts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse, Response

import svcauth


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    config, smd_url = os.environ["SVCAUTH_CONFIG"], os.environ["SMD_URL"]
    async with httpx.AsyncClient() as http, svcauth.AsyncClient.open(config, http=http) as tokens:
        async with httpx.AsyncClient(base_url=smd_url, auth=tokens.auth()) as smd:
            app.state.tokens, app.state.smd = tokens, smd
            yield


app = FastAPI(lifespan=lifespan)
# A node that boots has no user; where there is one, the user's token goes along to SMD.
app.add_middleware(svcauth.asgi.PassUser)


@app.get("/boot/v1/bootscript", response_class=PlainTextResponse)
async def boot_script(host: str) -> str:
    node = await component(host)
    return f"#!ipxe\nkernel http://boot/kernel nid={node['NID']} xname={node['ID']} role={node['Role']}\nboot\n"


# Only for users: without one's token SMD is not asked, in nobody's name.
@app.get("/boot/v1/bootparameters")
@svcauth.require_user
async def boot_parameters(host: str) -> dict[str, Any]:
    node = await component(host)
    return {"hosts": [node["ID"]], "params": "console=ttyS0"}


@app.get("/boot/v1/service/status", response_class=PlainTextResponse)
async def status() -> str:
    """For probes: 503 while a token is missing."""
    if not app.state.tokens.healthy():
        raise HTTPException(503, "there is no token")
    return "ready\n"


async def component(name: str) -> dict[str, Any]:
    """Asks SMD. This is all that there is to do about tokens."""
    response = await app.state.smd.get(f"/hsm/v2/State/Components/{quote(name, safe='')}")
    if response.status_code != 200:
        raise HTTPException(response.status_code, f"SMD answered {response.status_code}")
    node: dict[str, Any] = response.json()
    return node


@app.exception_handler(svcauth.UserTokenMissing)
async def no_user(request: Request, missing: svcauth.UserTokenMissing) -> Response:
    return PlainTextResponse(str(missing), 401)


@app.exception_handler(svcauth.Error)
async def no_token(request: Request, none: svcauth.Error) -> Response:
    return PlainTextResponse(str(none), 503, {"Retry-After": "1"})
