"""The four steps of the flow, each a message that the program sends itself: register, authorize, token, call.

    flow.py ISSUER URL            the issuer's address, and what to call with the token

A program that just calls leaves all this to svcauth.Client; this is for those who do a step by themselves.
"""

from __future__ import annotations

import http.client
import json
import sys
import urllib.parse
from typing import Any

from svcauth import Error, exchange


def send(message: exchange.Message[Any]) -> Any:
    """Sends a message with the HTTP client of your choice, follows no redirect, and reads the answer."""
    to = urllib.parse.urlsplit(message.url)
    kind = http.client.HTTPSConnection if to.scheme == "https" else http.client.HTTPConnection
    connection = kind(to.netloc, timeout=30)
    try:
        path = urllib.parse.urlunsplit(("", "", to.path or "/", to.query, ""))
        connection.request(message.method, path, message.body, message.headers)
        response = connection.getresponse()
        return message.parse(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


def main(issuer: str, url: str) -> None:
    print("== the issuer says where everything is")
    server = send(exchange.metadata(issuer))
    print(f"token endpoint {server.token_endpoint}")

    print("== register")
    metadata = {
        "client_name": "flow.py",
        "grant_types": ["client_credentials"],
        "scope": "read",
        "token_endpoint_auth_method": "client_secret_basic",
        "response_types": ["token"],
        "redirect_uris": ["http://127.0.0.1:5555/callback"],
    }
    # Hydra does not say where, unless it is told to.
    endpoint = server.registration_endpoint or f"{issuer}/oauth2/register"
    registration = send(exchange.register(endpoint, metadata))
    print(f"client {registration.client_id}")

    print("== authorize, which older set-ups need")
    answer = send(exchange.authorize(server.authorization_endpoint, registration, scopes=["read"]))
    print(f"the server answered with {answer.kind}")

    print("== token")
    token = send(
        exchange.token(
            server.token_endpoint,
            client_id=registration.client_id,
            client_secret=registration.client_secret,
            scopes=["read"],
        )
    )
    print(f"{token!r} for {token.expires_in} s")

    print("== call")
    to = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(to.netloc, timeout=30)
    connection.request("GET", to.path, headers={"Authorization": f"Bearer {token.access_token}"})
    response = connection.getresponse()
    print(response.status, json.loads(response.read()).get("ID"))
    connection.close()

    send(exchange.delete_registration(registration))
    print("== the registration is deleted")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} ISSUER URL")
    try:
        main(*sys.argv[1:])
    except Error as error:
        sys.exit(f"{error}")
