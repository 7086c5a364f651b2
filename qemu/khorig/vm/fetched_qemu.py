# SPDX-License-Identifier: BSD-3-Clause
"""QEMU versions of other Debian suites, each with its own C library in a folder of the cache."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from khorig.vm.cache_root import cache_root
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import PrivateApt, Report, command

SUITES = ("trixie", "trixie-backports")
PACKAGES = ("qemu-system-x86", "qemu-system-arm")

_PROGRAMS = ("qemu-system-x86_64", "qemu-system-aarch64")
_VERSION = re.compile(r"\d+(\.\d+){0,2}")
# The dynamic linker of the same suite, so that nothing of this system is loaded.
_STARTER = """\
#!/bin/sh
root=$(dirname "$(dirname "$(readlink -f "$0")")")/root
export QEMU_MODULE_DIR="$root/{libraries}/qemu"
exec "$root/{linker}" --library-path "$root/{libraries}:$root/{libraries}/pulseaudio" \\
  "$root/usr/bin/{name}" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
"""


def fetched_folder(version: str) -> Path | None:
    """The folder of the programs of the newest fetched QEMU of that version, "11.1" or "11.1.3";
    None when there is none."""
    if _VERSION.fullmatch(version) is None:
        return None
    fitting = [name for name in fetched_versions() if _fits(name, version)]
    return _folder(fitting[-1]) / "bin" if fitting else None


def fetched_versions() -> list[str]:
    """The versions of all fetched QEMUs, ascending."""
    names = [path.parent.name for path in (cache_root() / "qemu").glob("*/bin")]
    return sorted((name for name in names if _VERSION.fullmatch(name)), key=_numbers)


def fetch(version: str, report: Report) -> Path:
    """The folder of the programs of the newest QEMU of that version on the mirror; fetched before
    is fetched for good. Raises InfraError when the mirror has none, or it does not run."""
    if (kept := fetched_folder(version)) is not None:
        return kept
    apt = PrivateApt(cache_root() / "qemu" / "apt", SUITES, bare=True)
    known = apt.versions(PACKAGES[0], report)
    fitting = [one for one in known if _fits(_upstream(one), version)]
    if not fitting:
        there = ", ".join(dict.fromkeys(map(_upstream, known)))
        raise InfraError(f"no QEMU {version} on Debian's mirror ({', '.join(SUITES)} have {there})")
    newest = fitting[0]
    suite = SUITES[-1] if "~bpo" in newest else SUITES[0]
    files = apt.fetch_all([f"{name}={newest}" for name in PACKAGES], suite, report)
    folder = _folder(_upstream(newest))
    unpacking = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unpacking, ignore_errors=True)
    (unpacking / "root").mkdir(parents=True)
    report(f"unpacking {len(files)} packages")
    for path in files:
        command(["dpkg-deb", "-x", str(path), str(unpacking / "root")], "unpacking")
    _write_starters(unpacking)
    _try(unpacking / "bin" / _PROGRAMS[0], _upstream(newest))
    shutil.rmtree(folder, ignore_errors=True)
    unpacking.rename(folder)
    for path in files:
        path.unlink(missing_ok=True)
    return folder / "bin"


def _folder(version: str) -> Path:
    return cache_root() / "qemu" / version


def _write_starters(folder: Path) -> None:
    root = folder / "root"
    linkers = sorted(root.glob("usr/lib*/ld-linux-*.so.*")) + sorted(
        root.glob("usr/lib/*/ld-linux-*.so.*")
    )
    libraries = sorted(path.parent for path in root.glob("usr/lib/*/libc.so.6"))
    if not linkers or not libraries:
        raise InfraError("QEMU's packages came without a C library")
    (folder / "bin").mkdir()
    for name in _PROGRAMS:
        starter = folder / "bin" / name
        linker, beside = (path.relative_to(root) for path in (linkers[0], libraries[0]))
        starter.write_text(_STARTER.format(linker=linker, libraries=beside, name=name))
        starter.chmod(0o755)


def _try(program: Path, version: str) -> None:
    said = command([os.fspath(program), "--version"], f"QEMU {version}")
    if f"version {version}" not in said:
        raise InfraError(f"fetched QEMU {version}, but it is {said.splitlines()[:1]}")


def _upstream(version: str) -> str:
    """Debian's "1:11.1.3+ds-1~bpo13+1" is QEMU 11.1.3."""
    found = _VERSION.match(version.partition(":")[2] or version)
    return found.group() if found else version


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _fits(version: str, wanted: str) -> bool:
    return version == wanted or version.startswith(f"{wanted}.")
