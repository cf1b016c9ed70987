"""The same with Flask and requests.

    SVCAUTH_CONFIG=svcauth.json SMD_URL=http://smd:27779 gunicorn --preload --workers 4 boot_scripts_flask:app

Both are read when it starts.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

import requests
from flask import Flask, Response, abort, request

import svcauth

app = Flask(__name__)
# A node that boots has no user; where there is one, the user's token goes along to SMD.
app.wsgi_app = svcauth.wsgi.PassUser(app.wsgi_app)  # type: ignore[method-assign]
# Made once: the processes that gunicorn forks share nothing of it but the token that is there.
tokens = svcauth.Client.open(os.environ["SVCAUTH_CONFIG"])
smd = os.environ["SMD_URL"]


@app.get("/boot/v1/bootscript")
def boot_script() -> Response:
    node = component(request.args["host"])
    script = f"#!ipxe\nkernel http://boot/kernel nid={node['NID']} xname={node['ID']} role={node['Role']}\nboot\n"
    return Response(script, mimetype="text/plain")


# Only for users: without one's token SMD is not asked, in nobody's name.
@app.get("/boot/v1/bootparameters")
@svcauth.require_user
def boot_parameters() -> dict[str, Any]:
    return {"hosts": [component(request.args["host"])["ID"]], "params": "console=ttyS0"}


def component(name: str) -> dict[str, Any]:
    """Asks SMD. This is all that there is to do about tokens."""
    url = f"{smd}/hsm/v2/State/Components/{quote(name, safe='')}"
    response = requests.get(url, auth=tokens.auth(), timeout=60)
    if response.status_code != 200:
        abort(response.status_code, f"SMD answered {response.status_code}")
    node: dict[str, Any] = response.json()
    return node


@app.errorhandler(svcauth.UserTokenMissing)
def no_user(missing: svcauth.UserTokenMissing) -> Response:
    return Response(str(missing), 401)


@app.errorhandler(svcauth.Error)
def no_token(none: svcauth.Error) -> Response:
    return Response(str(none), 503, {"Retry-After": "1"})
