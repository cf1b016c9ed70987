"""libsvcauth through ctypes, which no other file knows.

Each function of svcauth.h is one here, without `svcauth_` in its name. Handles and numbers are ints, a text is
bytes. Out-parameters are the result: one is itself, several are a tuple; a struct is an object with its members.
A result that is not OK is raised as a `svcauth.Error`.
"""

from __future__ import annotations

import ctypes
import os
import sys

from . import _errors

TYPE_CHECKING = False  # typing's costs an import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

ABI_VERSION = 0

# The parameters of each function, in the header's order. `text` and `bytes` are a pointer and a length; `out` stands
# before what is written; `error` is the out-parameter of that name. All but those in ANSWERS give an svcauth_result.
FUNCTIONS = {
    "client_adopt": "handle u32 text u32 u64 u64 out-u32 error",
    "client_answered": "handle handle u32 text u32 out-u32 error",
    "client_complete_bytes": "handle u64 bytes u64 u64 error",
    "client_complete_failed": "handle u64 text u64 u64 error",
    "client_complete_record": "handle u64 bytes u64 u64 u64 error",
    "client_complete_response": "handle u64 u32 text bytes u64 u64 error",
    "client_complete_send_failed": "handle u64 u32 text u64 u64 error",
    "client_complete_store": "handle u64 u32 u64 u64 u64 error",
    "client_complete_unsupported": "handle u64 u64 u64 error",
    "client_decide": "handle text u32 text text out-handle error",
    "client_free": "handle",
    "client_health": "handle u32 out-handle error",
    "client_hear": "handle u32 error",
    "client_new": "text u32 u64 u64 u64 out-handle error",
    "client_poll": "handle u64 u64 out-handle out-u64 error",
    "client_poll_all": "handle u64 u64 out-handle out-u64 error",
    "client_register": "handle u64 u64 out-u32 error",
    "client_registration": "handle out-handle error",
    "client_reject": "handle handle u64 u32 u64 u64 out-u32 out-handle error",
    "client_secrets_changed": "handle u64 u64 error",
    "client_settings": "handle out-handle error",
    "client_stats": "handle out-stats error",
    "client_target": "handle text out-u32 error",
    "client_token": "handle u32 u64 u64 out-u32 out-handle error",
    "client_token_for": "handle handle u64 u64 out-u32 out-handle error",
    "config_check": "text error",
    "decision_call_event": "handle handle text text u32 u32 out-handle error",
    "decision_free": "handle",
    "decision_get_kind": "handle out-u32",
    "decision_get_text": "handle u32 out-text",
    "decision_target": "handle out-u32",
    "error_free": "handle",
    "error_get_info": "handle out-error_info",
    "error_get_text": "handle u32 out-text",
    "exchange_free": "handle",
    "exchange_get_text": "handle u32 out-text",
    "exchange_new": "text text out-handle error",
    "exchange_parse": "handle u32 text bytes out-handle error",
    "lease_get_info": "handle out-lease_info",
    "lease_get_text": "handle u32 out-text",
    "lease_record": "handle u64 u64 out-handle error",
    "lease_release": "handle",
    "lease_retain": "handle",
    "lease_scope": "handle u32 out-text",
    "output_error": "handle out-handle",
    "output_event_level": "handle out-u32",
    "output_free": "handle",
    "output_get_kind": "handle out-u32",
    "output_get_text": "handle u32 out-text",
    "output_header": "handle u32 out-text out-text",
    "output_lease": "handle out-handle",
    "output_lease_change": "handle out-lease_change_info",
    "output_random": "handle out-u64",
    "output_secret_kind": "handle out-u32",
    "output_send": "handle out-send_info",
    "output_store": "handle out-store_info",
    "output_task": "handle out-task_info",
    "secret_request_answer": "handle text error",
    "secret_request_fail": "handle text error",
    "text_free": "handle",
    "text_get": "handle out-text",
    "token_subject": "text out-handle error",
    "transport_answered": "handle handle u32 text u32 out-u32 error",
    "transport_close": "handle error",
    "transport_decide": "handle text u32 text text out-handle error",
    "transport_exchange": "handle handle out-handle error",
    "transport_free": "handle",
    "transport_health": "handle out-handle error",
    "transport_lease": "handle u32 u64 out-handle error",
    "transport_lease_for": "handle handle u64 out-handle error",
    "transport_new": "text callbacks out-handle error",
    "transport_open": "text callbacks out-handle error",
    "transport_ready": "handle u64 error",
    "transport_reject": "handle handle u64 u32 u64 out-u32 out-handle error",
    "transport_secrets_changed": "handle error",
    "transport_settings": "handle out-handle error",
    "transport_stats": "handle out-transport_counters error",
    "transport_target": "handle text out-u32 error",
    "version": "out-text",
}
ANSWERS = {"abi_version": "u32"}

WAIT_AS_CONFIGURED = 2**64 - 1
NEVER = 2**64 - 1

RESULT_OK = 0
RESULT_TIMEOUT = 301

CALL_HAS_AUTHORIZATION = 1
CALL_HAS_USER_TOKEN = 2
CALL_USER_REQUIRED = 4
CALL_REDIRECTED = 8

CAPABILITY_SECRET_FILES = 1
CAPABILITY_SECRET_ENVIRONMENT = 2
CAPABILITY_SECRET_CALLBACK = 4
CAPABILITY_DURABLE_STORE = 8
CAPABILITY_CLIENT_CERTIFICATE = 16

ANSWERED_DELIVER = 1
ANSWERED_RETRY = 2
ANSWERED_REPORT = 3
DECISION_KIND_NOTHING = 1
DECISION_KIND_USER_TOKEN = 2
DECISION_KIND_LEASE = 3
TOKEN_STATE_READY = 1
TOKEN_STATE_PENDING = 2
REJECTION_RETRY = 1
REJECTION_WAIT = 2
REJECTION_DELIVER = 3
REGISTRATION_STATE_REGISTERED = 1
REGISTRATION_STATE_PENDING = 2
OUTPUT_KIND_LEASE = 1
OUTPUT_KIND_EVENT = 2
OUTPUT_KIND_SEND = 3
OUTPUT_KIND_READ_SECRET = 4
OUTPUT_KIND_RANDOM = 5
OUTPUT_KIND_STORE = 6
OUTPUT_KIND_OTHER_TASK = 7
OUTPUT_KIND_CALLS_CHANGED = 8
LEASE_STATE_READY = 1
LEASE_STATE_ONCE = 2
LEASE_STATE_CLEARED = 3
LEASE_STATE_FAILED = 4
EVENT_LEVEL_INFO = 1
EVENT_LEVEL_WARN = 2
EVENT_LEVEL_ERROR = 3
ADOPTION_ADOPTED = 1
ADOPTION_NOT_ADOPTED = 2
SECRET_KIND_FILE = 1
SECRET_KIND_ENVIRONMENT = 2
SECRET_KIND_CALLBACK = 3
STORE_OPERATION_GET = 1
STORE_OPERATION_PUT = 2
STORE_OPERATION_LOCK = 3
STORE_OPERATION_UNLOCK = 4
STORE_OUTCOME_STORED = 1
STORE_OUTCOME_CONFLICT = 2
STORE_OUTCOME_LOCKED = 3
STORE_OUTCOME_HELD = 4
STORE_OUTCOME_DONE = 5
ATTEMPT_FIRST = 1
ATTEMPT_SECOND = 2
DECISION_TEXT_USER_TOKEN = 1
DECISION_TEXT_SUBJECT = 2
DECISION_TEXT_AUTHORIZATION = 3
ERROR_TEXT_DISPLAY = 1
ERROR_TEXT_CODE = 2
ERROR_TEXT_MESSAGE = 3
ERROR_TEXT_MEMBER = 4
ERROR_TEXT_OAUTH_ERROR = 5
ERROR_TEXT_OAUTH_DESCRIPTION = 6
ERROR_TEXT_CHALLENGE = 7
EXCHANGE_TEXT_METHOD = 1
EXCHANGE_TEXT_URL = 2
EXCHANGE_TEXT_BODY = 3
EXCHANGE_TEXT_HEADERS = 4
LEASE_TEXT_VALUE = 1
LEASE_TEXT_CLIENT_ID = 2
LEASE_TEXT_SUBJECT = 3
LEASE_TEXT_AUTHORIZATION = 4
OUTPUT_TEXT_METHOD = 1
OUTPUT_TEXT_URL = 2
OUTPUT_TEXT_BODY = 3
OUTPUT_TEXT_SECRET = 4
OUTPUT_TEXT_KEY = 5
OUTPUT_TEXT_VALUE = 6
OUTPUT_TEXT_EVENT = 7
OUTPUT_TEXT_SUBJECT = 8
OUTPUT_TEXT_HEADERS = 9
RECORD_CLOCK_SAME = 1
RECORD_CLOCK_OTHER = 2
REPLAY_IMPOSSIBLE = 1
REPLAY_POSSIBLE = 2
SEND_FAILURE_REFUSED = 1
SEND_FAILURE_TIMEOUT = 2
SEND_FAILURE_TLS = 3
SEND_FAILURE_TOO_LARGE = 4
SEND_FAILURE_BROKEN = 5

_u32, _u64, _bool = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_bool
_pointer, _size, _text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p

EVENT_CALLBACK = ctypes.CFUNCTYPE(None, _pointer, _u32, _pointer, _size)
SECRET_CALLBACK = ctypes.CFUNCTYPE(None, _pointer, _pointer, _size, _pointer)
DROP_CALLBACK = ctypes.CFUNCTYPE(None, _pointer)


class stats(ctypes.Structure):
    _fields_ = [
        (name, _u64)
        for name in (
            "requests",
            "token_requests",
            "tokens_received",
            "failures",
            "rejections",
            "tasks_overdue",
            "outcomes_ignored",
            "events_dropped",
        )
    ]


class error_info(ctypes.Structure):
    _fields_ = [
        ("retry_after_ms", _u64),
        ("retry_at_ms", _u64),
        ("offset", _u64),
        ("code", _u32),
        ("http_status", _u32),
        ("has_retry_after", _bool),
        ("has_retry_at", _bool),
        ("has_offset", _bool),
    ]


class lease_info(ctypes.Structure):
    _fields_ = [
        ("id", _u64),
        ("refresh_at_ms", _u64),
        ("ask_at_ms", _u64),
        ("serve_until_ms", _u64),
        ("expires_at_ms", _u64),
        ("expires_at_wall_ms", _u64),
        ("scopes", _u32),
    ]


class lease_change_info(ctypes.Structure):
    _fields_ = [("target", _u32), ("state", _u32)]


class task_info(ctypes.Structure):
    _fields_ = [("id", _u64), ("deadline_ms", _u64)]


class send_info(ctypes.Structure):
    _fields_ = [("timeout_ms", _u64), ("max_bytes", _u64), ("headers", _u32)]


class store_info(ctypes.Structure):
    _fields_ = [("version", _u64), ("ttl_ms", _u64), ("fence", _u64), ("operation", _u32)]


class callbacks(ctypes.Structure):
    _fields_ = [
        ("context", _pointer),
        ("event", EVENT_CALLBACK),
        ("secret", SECRET_CALLBACK),
        ("drop", DROP_CALLBACK),
    ]


class transport_counters(ctypes.Structure):
    _fields_ = [("client", stats), ("asked", _u64), ("waited", _u64), ("threads", _u64), ("events_untold", _u64)]


STRUCTS: tuple[type[ctypes.Structure], ...] = (
    stats,
    error_info,
    lease_info,
    lease_change_info,
    task_info,
    send_info,
    store_info,
    callbacks,
    transport_counters,
)


class _Parameter:
    """How one kind of parameter is given to C, and what comes of it."""

    __slots__ = ("types", "made")

    def __init__(self, types: list[Any], made: tuple[type[Any], ...] = ()) -> None:
        self.types = types
        self.made = made


_PARAMETERS: dict[str, _Parameter] = {
    "handle": _Parameter([_pointer]),
    "u32": _Parameter([_u32]),
    "u64": _Parameter([_u64]),
    "text": _Parameter([_text, _size]),
    "bytes": _Parameter([_text, _size]),
    "callbacks": _Parameter([ctypes.POINTER(callbacks)]),
    "error": _Parameter([ctypes.POINTER(_pointer)], (_pointer,)),
    "out-handle": _Parameter([ctypes.POINTER(_pointer)], (_pointer,)),
    "out-u32": _Parameter([ctypes.POINTER(_u32)], (_u32,)),
    "out-u64": _Parameter([ctypes.POINTER(_u64)], (_u64,)),
    "out-text": _Parameter([ctypes.POINTER(_pointer), ctypes.POINTER(_size)], (_pointer, _size)),
}
for _struct in STRUCTS:
    _PARAMETERS["out-" + _struct.__name__] = _Parameter([ctypes.POINTER(_struct)], (_struct,))


def types_of(name: str) -> list[Any]:
    """The C types of a function's parameters."""
    return [each for kind in FUNCTIONS[name].split() for each in _PARAMETERS[kind].types]


_library: ctypes.CDLL | None = None


def library() -> ctypes.CDLL:
    """The library: the file that SVCAUTH_LIBRARY names, or the one in this package. Loaded by the first who asks."""
    global _library
    if _library is None:
        _library = _load()
    return _library


def _load() -> ctypes.CDLL:
    path = os.environ.get("SVCAUTH_LIBRARY")
    if not path:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_lib", "libsvcauth.so")
        if not os.path.exists(path):
            raise _errors.LibraryError(
                "this installation has no libsvcauth for "
                + f"{sys.platform}; install the wheel for your platform, or name the library in SVCAUTH_LIBRARY"
            )
    try:
        loaded = ctypes.CDLL(path)
        abi = loaded.svcauth_abi_version
        loaded.svcauth_transport_open  # noqa: B018 (whether it is there)
    except OSError as error:
        raise _errors.LibraryError(
            f"libsvcauth cannot be loaded: {error}; it may be for another platform. "
            "Install the wheel for yours, or name the library in SVCAUTH_LIBRARY"
        ) from None
    except AttributeError as error:
        raise _errors.LibraryError(
            f"{path} is not libsvcauth with its HTTP client ({error}); build it with `make lib`"
        ) from None
    abi.restype = _u32
    found = abi()
    if found != ABI_VERSION:
        raise _errors.LibraryError(
            f"{path} has version {found} of the interface, and this package needs {ABI_VERSION}; "
            "install both from the same release"
        )
    return loaded


def _function(name: str) -> Callable[..., Any]:
    kinds = FUNCTIONS[name].split()
    c = getattr(library(), "svcauth_" + name)
    c.argtypes = types_of(name)
    c.restype = _u32
    byref = ctypes.byref
    plan = [(kind in ("text", "bytes"), _PARAMETERS[kind].made) for kind in kinds]
    results = [kind for kind in kinds if kind.startswith("out-")]
    tells_why = kinds[-1] == "error"

    def call(*given: Any) -> Any:
        arguments: list[Any] = []
        made: list[Any] = []
        rest = iter(given)
        for is_text, out in plan:
            if out:
                for each in out:
                    place = each()
                    made.append(place)
                    arguments.append(byref(place))
                continue
            value = next(rest)
            arguments.append(value)
            if is_text:
                arguments.append(len(value))
        result = c(*arguments)
        if result:
            raise _failure(name, result, made[-1].value if tells_why else None)
        if not results:
            return None
        places = iter(made)
        values = tuple([_value(kind, places) for kind in results])
        return values[0] if len(values) == 1 else values

    call.__name__ = call.__qualname__ = name
    return call


def _value(kind: str, places: Iterator[Any]) -> Any:
    place = next(places)
    if kind == "out-text":
        length = next(places).value
        return ctypes.string_at(place.value, length) if length else b""
    if kind == "out-handle":
        return place.value or 0
    return place.value if kind in ("out-u32", "out-u64") else place


def _failure(name: str, result: int, error: int | None) -> _errors.Error:
    return failure(error) if error else _errors.without_object(result, name)


def failure(error: int) -> _errors.Error:
    """The error that an error object describes, which is freed."""
    here = sys.modules[__name__]
    try:
        info = here.error_get_info(error)
        which = range(ERROR_TEXT_DISPLAY, ERROR_TEXT_CHALLENGE + 1)
        texts = [here.error_get_text(error, each).decode("utf-8", "replace") for each in which]
    finally:
        here.error_free(error)
    return _errors.from_library(
        info.code,
        texts,
        status=info.http_status,
        retry_after=info.retry_after_ms / 1000 if info.has_retry_after else None,
        retry_at_ms=info.retry_at_ms if info.has_retry_at else None,
        offset=info.offset if info.has_offset else None,
    )


def take_text(text: int) -> bytes:
    """The content of a text that belongs to us, which is freed. NULL is empty."""
    if not text:
        return b""
    here = sys.modules[__name__]
    try:
        content: bytes = here.text_get(text)
        return content
    finally:
        here.text_free(text)


def text_at(address: int | None, length: int) -> bytes:
    """A text that a callback is given."""
    return ctypes.string_at(address, length) if address and length else b""


def is_main_interpreter() -> bool:
    """Whether a thread that is not Python's own may call this interpreter."""
    api = ctypes.pythonapi
    api.PyInterpreterState_Get.restype = api.PyInterpreterState_Main.restype = _pointer
    return bool(api.PyInterpreterState_Get() == api.PyInterpreterState_Main())


def __getattr__(name: str) -> Any:
    if name not in FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    function = _function(name)
    globals()[name] = function
    return function
