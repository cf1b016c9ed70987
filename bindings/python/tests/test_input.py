"""Whatever is given to a public function is an answer or an error of the documented kind."""

from __future__ import annotations

import datetime
import inspect
import logging
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import svcauth
from svcauth import exchange

CONFIG = {
    "issuer": "http://127.0.0.1:1",
    "client": {"credentials": [{"client_id": "bss", "client_secret": {"value": "s3cr3t"}}]},
    "targets": {"smd": {"urls": ["https://smd.example/hsm/v2"], "scopes": ["read"]}},
    "timeouts": {"wait_s": 0.05, "connect_s": 0.05},
}

texts = st.one_of(
    st.text(st.characters(codec=None), max_size=20),
    st.sampled_from(["smd", "https://smd.example/hsm/v2/x", "http://[::1", "Bearer x", "\udc80", "a\0b", "\r\n"]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
anything = st.one_of(
    json_values,
    st.binary(max_size=20),
    st.just(object()),
    st.just(print),
    st.just(datetime.datetime(2026, 1, 1)),
    st.sets(st.integers(), max_size=2),
    st.sampled_from([math.nan, math.inf, -math.inf, -1, 2**70, -(2**70), 1j, b"smd", ...]),
)
many = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def harmless(function: Any, *arguments: Any, **named: Any) -> Any:
    """Calls it: an answer, or an error that says what to do."""
    try:
        return function(*arguments, **named)
    except svcauth.Error as error:
        assert not isinstance(error, svcauth.InternalError), repr(error)
        assert error.code and error.message and len(str(error)) > 10
        return error


@pytest.fixture(scope="module")
def client() -> Iterator[svcauth.Client]:
    logger = logging.Logger("quiet", logging.CRITICAL)
    with svcauth.Client(CONFIG, logger=logger) as made:
        yield made


@many
@given(anything)
def test_configurations(config: Any) -> None:
    made = harmless(svcauth.Client, config)
    assert isinstance(made, svcauth.Error)


@many
@given(st.sampled_from(["issuer", "client", "targets", "timeouts", "store", "tls", "proxy", "x"]), anything)
def test_members_of_configurations(name: str, value: Any) -> None:
    made = harmless(svcauth.Client, {**CONFIG, name: value})
    if isinstance(made, svcauth.Client):
        made.close()
    else:
        assert isinstance(made, (svcauth.ConfigurationError, svcauth.ArgumentError)), repr(made)


@many
@given(anything, anything, anything)
def test_what_a_client_is_made_with(path: Any, logger: Any, secrets: Any) -> None:
    assert isinstance(harmless(svcauth.Client.open, path), svcauth.Error)
    for named in ({"logger": logger}, {"secrets": secrets}):
        made = harmless(svcauth.Client, CONFIG, **named)
        if isinstance(made, svcauth.Client):
            made.close()


@many
@given(anything, anything)
def test_functions_of_a_client(client: svcauth.Client, one: Any, other: Any) -> None:
    # Nothing listens there, so none of them gets a token.
    for made in (
        harmless(client.token, one),
        harmless(client.lease, one, other if other not in (math.inf, 2**70) else 0),
        harmless(client.lease, "smd", timeout=0),
    ):
        assert isinstance(made, svcauth.Error)
    harmless(client.auth, one)
    harmless(client.refused, one, other)
    harmless(client.refused, "https://smd.example/hsm/v2", other)
    if not (isinstance(one, str) and "smd.example" in one):
        harmless(client.authorization, one)
    harmless(client.exchange, one)
    harmless(client.urllib3, one)
    harmless(client.auth(), one)
    harmless(svcauth.urlopen, one, other)
    harmless(svcauth.user_token, one)
    if not isinstance(one, (int, float)) or isinstance(one, bool) or not one > 0:
        harmless(client.ready, one)


NAMES = [
    "register",
    "read_registration",
    "update_registration",
    "delete_registration",
    "authorize",
    "token",
    "metadata",
]
PARAMETERS = [
    "metadata",
    "allowed_origins",
    "insecure_http",
    "initial_access_token",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scopes",
    "state",
    "auth",
    "grant",
    "audience",
    "parameters",
    "document",
    "allow_form_answer",
]


@many
@given(
    st.sampled_from(NAMES),
    st.one_of(anything, st.just("https://hydra.example/x"), st.builds(exchange.Registration, texts)),
    st.dictionaries(st.sampled_from(PARAMETERS), anything, max_size=3),
)
def test_parameters_of_messages(name: str, first: Any, named: dict[str, Any]) -> None:
    function = getattr(exchange, name)
    known = {each: value for each, value in named.items() if each in inspect.signature(function).parameters}
    if name == "metadata":
        known.pop("metadata", None)
    harmless(function, first, **known)


@many
@given(
    anything | st.integers(100, 599),
    anything | st.dictionaries(texts, texts, max_size=3) | st.lists(st.tuples(texts, texts), max_size=3),
    anything | st.binary(max_size=50) | json_values.map(lambda value: repr(value).encode("utf-8", "replace")),
)
def test_answers_to_messages(status: Any, headers: Any, body: Any) -> None:
    for message in (
        exchange.token("https://hydra.example/t", client_id="a", client_secret="b"),
        exchange.metadata("https://hydra.example"),
        exchange.register("https://hydra.example/r"),
        exchange.authorize("https://hydra.example/a", client_id="a"),
    ):
        harmless(message.parse, status, headers, body)


@many
@given(anything)
def test_saved_registrations(text: Any) -> None:
    harmless(exchange.Registration.from_json, text)
    for grant in (exchange.RefreshToken, exchange.TokenExchange, exchange.Bare):
        harmless(exchange.token, "https://hydra.example/t", client_id="a", client_secret="b", grant=grant(text))
