"""Checks a wheel: what is in it, for which machines it says it is, and what it weighs.

tools/check_wheel.py WHEEL TRIPLE
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

MOST_BYTES = 3_000_000
GLIBC = (2, 28)
HERE = Path(__file__).resolve().parent


def main(path: Path, triple: str) -> None:
    cpu = triple.partition("-")[0]
    version = path.name.split("-")[1]
    tag = f"py3-none-manylinux_{GLIBC[0]}_{GLIBC[1]}_{cpu}"
    expect(path.name == f"svcauth-{version}-{tag}.whl", f"it is named {path.name}")
    size = path.stat().st_size
    expect(size <= MOST_BYTES, f"it has {size} bytes, more than {MOST_BYTES}")

    with zipfile.ZipFile(path) as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist()}
    sources = {each.relative_to(HERE.parent).as_posix() for each in (HERE.parent / "svcauth").rglob("*.py")}
    about = f"svcauth-{version}.dist-info"
    expected = sources | {"svcauth/py.typed", "svcauth/_lib/libsvcauth.so"}
    for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE-APACHE", "licenses/LICENSE-MIT"):
        expected.add(f"{about}/{name}")
    expect(set(files) == expected, f"its files differ: {sorted(set(files) ^ expected)}")
    metadata = files[f"{about}/METADATA"].decode()
    expect(not re.search(r"^Requires-Dist", metadata, re.MULTILINE), "it requires other packages")
    expect(f"Tag: {tag}" in files[f"{about}/WHEEL"].decode().splitlines(), "its tag is another one")
    for name, content in files.items():
        for place in (str(Path.home()), str(HERE.parents[2])):
            expect(place.encode() not in content, f"{name} names a place of this machine: {place}")

    auditwheel = Path(sys.executable).with_name("auditwheel")
    shown = subprocess.run([auditwheel, "show", path], capture_output=True, text=True, check=True).stdout
    words = " ".join(shown.split())
    fits = re.search(rf'consistent with the following platform tag: "manylinux_(\d+)_(\d+)_{cpu}"', words)
    if fits is None or tuple(map(int, fits.groups())) > GLIBC:
        raise SystemExit(f"{path}: auditwheel says otherwise: {words}")
    print(f"{path.name} {size} bytes, needs glibc {'.'.join(fits.groups())}")


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(f"{sys.argv[1]}: {otherwise}")


main(Path(sys.argv[1]), sys.argv[2])
