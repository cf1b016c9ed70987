"""What is installed: into an empty environment, with nothing else, and a token comes."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import svcauth
from conftest import ROOT, SECRET, Lab

FIRST_TOKEN = """
import sys, svcauth
with svcauth.Client.open(sys.argv[1]) as client:
    assert client.token("smd")
    print(svcauth.__version__)
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment as a user makes it."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=True)
    yield folder / "bin" / "python"


def installed(python: Path, *what: str) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def first_token(python: Path, lab: Lab, folder: Path) -> str:
    config = folder / "svcauth.json"
    config.write_text(json.dumps(lab.config()))
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SVCAUTH_LIBRARY")}
    done = subprocess.run(
        [python, "-I", "-c", FIRST_TOKEN, config],
        cwd=folder,
        env={**clean, "BSS_SECRET": SECRET},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_is_all_that_a_first_token_needs(empty: Path, lab: Lab, tmp_path: Path) -> None:
    wheel = os.environ.get("SVCAUTH_WHEEL")
    if not wheel:
        pytest.fail("SVCAUTH_WHEEL does not name the wheel; make python-test builds it and says where it is")
    installed(empty, "--no-index", wheel)
    assert first_token(empty, lab, tmp_path) == svcauth.__version__
    listed = subprocess.run([empty, "-m", "pip", "list", "--format", "json"], capture_output=True, check=True).stdout
    assert {each["name"] for each in json.loads(listed)} <= {"svcauth", "pip", "setuptools", "wheel"}


def test_the_sdist_builds_with_cargo(empty: Path, lab: Lab, tmp_path: Path) -> None:
    sdist = os.environ.get("SVCAUTH_SDIST")
    if not sdist:
        pytest.skip("only where SVCAUTH_SDIST names one: make sdist-test builds the library once more, from the sdist")
    installed(empty, "--force-reinstall", sdist)
    assert first_token(empty, lab, tmp_path) == svcauth.__version__


def test_there_is_one_version() -> None:
    cargo = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert cargo is not None
    assert svcauth.__version__ == cargo.group(1)
    if os.environ.get("SVCAUTH_WHEEL"):
        assert importlib.metadata.version("svcauth") == cargo.group(1)


@pytest.mark.parametrize("name", ["LICENSE-APACHE", "LICENSE-MIT"])
def test_the_license_is_the_projects(name: str) -> None:
    assert (ROOT / "bindings" / "python" / name).read_bytes() == (ROOT / name).read_bytes()


def test_all_that_is_exported_is_there_and_documented() -> None:
    for name in svcauth.__all__:
        assert getattr(svcauth, name).__doc__, name
    assert set(svcauth.__all__) <= set(dir(svcauth))
    with pytest.raises(AttributeError):
        svcauth.nothing  # noqa: B018


def test_no_module_needs_what_is_not_there() -> None:
    """Nothing but the standard library is imported before one asks for it."""
    code = (
        "import sys, svcauth, svcauth.asgi, svcauth.wsgi; svcauth.AsyncClient, svcauth.Client\n"
        "print(*(each for each in ('requests', 'httpx', 'aiohttp', 'urllib3', 'anyio') if each in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"
