"""The table of functions is what the header says."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

import pytest

import svcauth
from conftest import ROOT, python
from svcauth import _native

HEADER = ROOT / "ffi/include/svcauth.h"
NUMBERS: dict[str, Any] = {
    "uint64_t": ctypes.c_uint64,
    "uint32_t": ctypes.c_uint32,
    "size_t": ctypes.c_size_t,
    "bool": ctypes.c_bool,
}
STRUCTS = {"svcauth_" + struct.__name__: struct for struct in _native.STRUCTS}


@pytest.fixture(scope="module")
def header() -> str:
    if not HEADER.exists():
        pytest.fail(f"{HEADER} is missing: this test runs in the source tree")
    text = re.sub(r"//[^\n]*", "", HEADER.read_text())
    # What is only in the WebAssembly module is not for us.
    return re.sub(r"#if defined\(__wasm__\).*?#endif", "", text, flags=re.S)


def enums(header: str) -> dict[str, dict[str, int]]:
    found = {}
    for name, body in re.findall(r"enum (svcauth_\w+)\n#if.*?#endif[^\n]*\n\s*\{(.*?)\};", header, flags=re.S):
        found[name] = {each: int(value) for each, value in re.findall(r"(\w+) = (\d+)", body)}
    return found


def kind_of(parameter: str, following: str | None, enum_names: set[str]) -> tuple[str, int]:
    """The kind of a parameter, and how many of the header's it takes."""
    declared = re.sub(r"\s+", " ", parameter).strip()
    match = re.fullmatch(r"(const )?(\w+) (\**)(\w+)", declared)
    assert match, declared
    const, base, stars, name = match.groups()
    has_length = following is not None and following.split()[-1].endswith("len")
    if base == "svcauth_error" and stars == "**" and name == "error":
        return "error", 1
    if base == "char" and stars == "*" and const:
        assert has_length, declared
        return "text", 2
    if base == "char" and stars == "**" and const:
        assert has_length, declared
        return "out-text", 2
    if base == "uint8_t" and stars == "*" and const:
        assert has_length, declared
        return "bytes", 2
    if base in NUMBERS or base in enum_names:
        number = {"uint64_t": "u64", "uint32_t": "u32"}.get(base, "u32")
        return {"": number, "*": f"out-{number}"}[stars], 1
    if base in STRUCTS and stars == "*":
        short = base[len("svcauth_") :]
        return (short if const else f"out-{short}"), 1
    return {"*": "handle", "**": "out-handle"}[stars], 1


def functions(header: str) -> dict[str, tuple[str, str]]:
    """What each function answers, and the kinds of its parameters."""
    names = set(enums(header))
    found = {}
    for answer, name, inside in re.findall(r"^(svcauth_result|uint32_t) svcauth_(\w+)\(([^)]*)\);", header, flags=re.M):
        parameters = [] if inside == "void" else inside.split(",")
        kinds = []
        while parameters:
            kind, taken = kind_of(parameters[0], parameters[1] if len(parameters) > 1 else None, names)
            kinds.append(kind)
            parameters = parameters[taken:]
        found[name] = (answer, " ".join(kinds))
    # The one whose result is an error.
    assert found["output_error"][1] == "handle error"
    found["output_error"] = ("svcauth_result", "handle out-handle")
    return found


def test_each_function_of_the_header_is_in_the_table_as_it_is_there(header: str) -> None:
    declared = functions(header)
    with_result = {name: kinds for name, (answer, kinds) in declared.items() if answer == "svcauth_result"}
    assert with_result == _native.FUNCTIONS
    others = {name: answer for name, (answer, _) in declared.items() if answer != "svcauth_result"}
    assert others == dict.fromkeys(_native.ANSWERS, "uint32_t")
    assert "transport_open" in declared
    # Nothing was passed by.
    assert len(declared) == len(re.findall(r"^\w[\w ]*\*?svcauth_\w+\($|^\w+ svcauth_\w+\(", header, flags=re.M))


def test_each_struct_has_the_members_of_the_header(header: str) -> None:
    bodies = re.findall(r"typedef struct \{(.*?)\} (\w+);", header, flags=re.S)
    assert {name for _, name in bodies} == set(STRUCTS)
    names = set(enums(header))
    for body, name in bodies:
        declared = []
        for member in re.split(r";\s*(?![^(]*\))", body):
            member = " ".join(member.split())
            if not member:
                continue
            function = re.search(r"\(\*(\w+)\)", member)
            declared.append(function.group(1) if function else member.split()[-1].lstrip("*"))
            if not function:
                base = member.split()[0]
                fields: Any = dict(STRUCTS[name]._fields_)  # type: ignore[arg-type, misc]
                of = fields[declared[-1]]
                expected = NUMBERS.get(base) or (ctypes.c_uint32 if base in names else STRUCTS.get(base))
                assert of is (expected or ctypes.c_void_p), f"{name}.{declared[-1]}"
        assert [field[0] for field in STRUCTS[name]._fields_] == declared, name  # type: ignore[index]


def test_each_number_of_the_header_is_here(header: str) -> None:
    for name, values in enums(header).items():
        if name == "svcauth_result":
            continue
        for each, value in values.items():
            assert getattr(_native, each.removeprefix("SVCAUTH_")) == value
    for name, text in re.findall(r"#define SVCAUTH_(\w+) (\d+|UINT64_MAX)", header):
        assert getattr(_native, name) == (2**64 - 1 if text == "UINT64_MAX" else int(text)), name


def test_each_result_of_the_header_is_an_error_of_some_kind(header: str) -> None:
    for name, value in enums(header)["svcauth_result"].items():
        if value in (1, 4, 5, 6, 7, 8, 400):
            kind: type[svcauth.Error] = svcauth.InternalError
        elif value == 0:
            continue
        else:
            kind = svcauth.Error
        made = svcauth._errors.without_object(value, name)
        assert isinstance(made, kind), name
        if kind is svcauth.Error:
            assert not isinstance(made, svcauth.InternalError), name


def test_an_unknown_function_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'client_fly'"):
        _native.client_fly  # noqa: B018


@pytest.mark.parametrize(
    ("library", "says"),
    [
        ("/nowhere/libsvcauth.so", "libsvcauth cannot be loaded"),
        (__file__, "libsvcauth cannot be loaded"),
        ("libc.so.6", "is not libsvcauth"),
    ],
)
def test_a_library_that_is_none_is_an_error_that_helps(library: str, says: str) -> None:
    code = """
import svcauth
try:
    svcauth.Client.open("svcauth.json")
except svcauth.LibraryError as error:
    assert isinstance(error, ImportError)
    print(error.code, error)
"""
    ran = python(code, SVCAUTH_LIBRARY=library)
    assert ran.returncode == 0 and says in ran.stdout


def test_a_package_without_the_library_says_how_to_get_it(tmp_path: Path) -> None:
    package = Path(svcauth.__file__).parent
    copy = tmp_path / "svcauth"
    copy.mkdir()
    for each in package.glob("*.py"):
        (copy / each.name).write_text(each.read_text())
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import svcauth
try:
    svcauth.Client({{}})
except svcauth.LibraryError as error:
    print(error)
"""
    ran = python(code, SVCAUTH_LIBRARY="")
    assert "this installation has no libsvcauth for linux" in ran.stdout, ran.stderr
