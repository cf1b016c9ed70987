"""Puts the C library into the wheel, and what cargo needs into the sdist.

A wheel takes the library from the folder in SVCAUTH_LIBRARY_FOLDER, where ffi/build-lib has made it, and the platform
of its tag from SVCAUTH_PLATFORM; `make wheel` sets both. Without them the library is built here by cargo, for this
machine and no other, in the profile that SVCAUTH_PROFILE names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).resolve().parent
CARGO = "cargo"  # the folder in the sdist
# Of the workspace's members, which cargo wants all to be there.
LEFT_OUT = ("core/fuzz/", "core/scenarios/", "ffi/wasm-opt/", "ffi/tests/c/")


def workspace() -> Path:
    """Where the Rust sources are: in an sdist beside this file, in a checkout two folders up."""
    for root in (HERE / CARGO, HERE.parent.parent):
        if (root / "ffi" / "Cargo.toml").is_file():
            return root
    raise SystemExit("svcauth: the Rust sources are missing; build from a checkout or from an sdist")


def version() -> str:
    text = (workspace() / "Cargo.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise SystemExit("svcauth: Cargo.toml names no version")
    return found.group(1)


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "sdist":
            build_data["force_include"].update(_sources())
            return
        build_data["pure_python"] = False
        platform = os.environ.get("SVCAUTH_PLATFORM") or sysconfig.get_platform()
        build_data["tag"] = "py3-none-" + re.sub(r"[-.]", "_", platform)
        if version == "editable":
            return
        library = _given() or _built()
        # The name is the same everywhere: whoever loads it names the file.
        build_data["force_include"][str(library)] = "svcauth/_lib/libsvcauth.so"


def _name() -> str:
    return {"darwin": "libsvcauth.dylib", "win32": "svcauth.dll"}.get(sys.platform, "libsvcauth.so")


def _given() -> Path | None:
    folder = os.environ.get("SVCAUTH_LIBRARY_FOLDER")
    if not folder:
        return None
    library = (Path(folder) / _name()).resolve()
    if not library.is_file():
        raise SystemExit(f"svcauth: {folder} holds no {_name()}; build it with ffi/build-lib")
    return library


def _built() -> Path:
    root = workspace()
    if shutil.which("cargo") is None:
        raise SystemExit(
            "svcauth: no wheel fits this machine; to build the library, install Rust 1.89 or newer (rustup.rs)"
        )
    target = Path(os.environ.get("CARGO_TARGET_DIR") or root / "target")
    profile = os.environ.get("SVCAUTH_PROFILE") or "library"
    flags = f"--remap-path-prefix={root}="
    for registry in Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").glob("registry/src/*"):
        flags += f"\x1f--remap-path-prefix={registry}="
    environment = {**os.environ, "CARGO_ENCODED_RUSTFLAGS": flags, "CARGO_PROFILE_LIBRARY_STRIP": "symbols"}
    subprocess.run(
        ["cargo", "rustc", "--locked", "--package", "svcauth-ffi", "--features", "transport", "--profile", profile,
         "--crate-type", "cdylib", "--manifest-path", root / "Cargo.toml", "--target-dir", target],
        check=True, env=environment,
    )  # fmt: skip
    return target / {"dev": "debug"}.get(profile, profile) / _name()


def _sources() -> dict[str, str]:
    """What of the checkout goes into the sdist: what git knows of the workspace."""
    root = workspace()
    members = re.search(
        r"^members = \[(.*?)\]", (root / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    if members is None:
        raise SystemExit("svcauth: Cargo.toml names no members of the workspace")
    tree = ["Cargo.toml", "Cargo.lock", *re.findall(r'"([^"]+)"', members.group(1))]
    if root == HERE / CARGO:
        found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        tracked = [name for name in found if not name.startswith("target/")]
    else:
        listed = subprocess.run(["git", "ls-files", "-z", "--", *tree], cwd=root, check=True, capture_output=True)
        tracked = [name for name in listed.stdout.decode().split("\0") if name and not name.startswith(LEFT_OUT)]
    return {str(root / name): f"{CARGO}/{name}" for name in tracked}
