"""Single messages, with HTTP libraries of the program's own, against the lab."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import pytest
import requests

import svcauth
from conftest import Lab
from svcauth import exchange

Answer = TypeVar("Answer")
Send = Callable[[exchange.Message[Any]], Any]


def by_requests(message: exchange.Message[Answer]) -> Answer:
    answer = requests.request(
        message.method, message.url, headers=message.headers, data=message.body, allow_redirects=False, timeout=30
    )
    return message.parse(answer.status_code, answer.headers, answer.content)


def by_httpx(message: exchange.Message[Answer]) -> Answer:
    answer = httpx.request(message.method, message.url, headers=message.headers, content=message.body, timeout=30)
    return message.parse(answer.status_code, answer.headers, answer.content)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def by_the_standard_library(message: exchange.Message[Answer]) -> Answer:
    request = urllib.request.Request(message.url, message.body, message.headers, method=message.method)
    try:
        answer = urllib.request.build_opener(NoRedirect).open(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return message.parse(answer.status, answer.headers.items(), answer.read())


@pytest.mark.parametrize("send", [by_requests, by_httpx, by_the_standard_library])
def test_the_flow_step_by_step(send: Send, lab: Lab) -> None:
    issuer: exchange.Metadata = send(exchange.metadata(lab.issuer))
    assert issuer.issuer == lab.issuer and issuer.token_endpoint and issuer.authorization_endpoint
    assert issuer.extra["grant_types_supported"] if "grant_types_supported" in issuer.extra else True
    asked = {"client_name": "bss2", "scope": "read", "grant_types": ["client_credentials"], "redirect_uris": []}
    registered: exchange.Registration = send(exchange.register(lab.issuer + "/oauth2/register", asked))
    assert registered.client_id and registered.client_secret and registered.registration_access_token
    assert registered.refused is None and registered.whole["client_name"] == "bss2"
    answer: exchange.AuthorizationAnswer = send(
        exchange.authorize(issuer.authorization_endpoint, registered, scopes=["read"])
    )
    assert answer.kind in ("login_page", "callback", "error_page", "answered")
    saved = exchange.Registration.from_json(registered.to_json())
    assert saved == registered
    token: exchange.TokenAnswer = send(
        exchange.token(
            issuer.token_endpoint,
            client_id=saved.client_id,
            client_secret=saved.client_secret,
            scopes=["read"],
        )
    )
    assert token.access_token and token.token_type.lower() == "bearer" and token.expires_in
    assert str(token.access_token) not in repr(token) and str(saved.client_secret) not in repr(saved)
    status = requests.get(lab.node, headers={"Authorization": f"Bearer {token.access_token}"}, timeout=30).status_code
    assert status == 200
    changed: exchange.Registration = send(exchange.update_registration(saved, {"client_name": "other"}))
    assert changed.whole["client_name"] == "other" and changed.client_id == saved.client_id
    assert send(exchange.read_registration(changed)).client_id == saved.client_id
    assert send(exchange.delete_registration(changed)) is None
    with pytest.raises(svcauth.Error):
        send(exchange.read_registration(changed))


def test_tokens_of_other_grants(lab: Lab) -> None:
    bare = by_requests(exchange.token(lab.urls["opaal"] + "/token", grant=exchange.Bare()))
    assert bare.access_token
    boot = lab.post("/lab/bootstrap-token", {"subject": "bss", "audience": "smd", "scopes": ["read"]})
    grant = exchange.TokenExchange(boot["bootstrap_token"], "urn:openchami:params:oauth:token-type:bootstrap-token")
    endpoint = lab.urls["tokensmith"] + "/oauth/token"
    first = by_requests(exchange.token(endpoint, auth="none", grant=grant))
    assert first.refresh_token and first.issued_token_type
    again = by_requests(exchange.token(endpoint, auth="none", grant=exchange.RefreshToken(first.refresh_token)))
    assert again.access_token != first.access_token


def test_an_answer_that_says_no_is_an_error_with_what_was_said(lab: Lab) -> None:
    message = exchange.token(lab.issuer + "/oauth2/token", client_id="bss", client_secret="wrong")
    with pytest.raises(svcauth.OAuthError) as raised:
        by_requests(message)
    error = raised.value
    assert (error.oauth_error, error.status) == ("invalid_client", 401) and error.description
    lab.fault("token", {"action": {"answer": {"status": 429, "retry_after": {"seconds": 2}}}})
    with pytest.raises(svcauth.ServerError) as limited:
        by_requests(message)
    assert (limited.value.code, limited.value.retry_after) == ("rate_limited", 2.0)


@pytest.mark.parametrize(
    ("wrong", "member"),
    [
        (lambda: exchange.token("http://elsewhere.example"), "endpoint"),
        (lambda: exchange.token("https://a.example", auth="basic"), "auth"),
        (lambda: exchange.token("https://a.example", scopes="read"), "scopes"),
        (lambda: exchange.register(5), "endpoint"),  # type: ignore[arg-type]
        (lambda: exchange.read_registration("x"), "registration"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_parameter_is_named(wrong: Callable[[], Any], member: str) -> None:
    with pytest.raises(svcauth.ArgumentError) as raised:
        wrong()
    assert raised.value.member == member


def test_a_message_may_be_sent_any_number_of_times(lab: Lab) -> None:
    message = exchange.metadata(lab.issuer)
    assert by_requests(message) == by_requests(message)
    assert json.loads(json.dumps(message.headers)) == message.headers
