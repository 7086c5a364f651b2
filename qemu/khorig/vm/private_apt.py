# SPDX-License-Identifier: BSD-3-Clause
"""Debian packages that the system has not."""

from __future__ import annotations

import functools
import math
import re
import subprocess
import time
from pathlib import Path
from typing import Callable, Mapping, Sequence
from urllib.parse import unquote

from khorig.vm.errors import InfraError
from khorig.vm.exit_meaning import describe_status, last_lines

Report = Callable[[str], None]

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_MIRROR = "Debian's mirror"  # .ci/run matches this text
# "Inst libc6 (2.41-12 Debian:13.1/stable [amd64])"
_INSTALLS = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)
_STALE_S = 7 * 86400  # after which the mirror is queried again
_MIRROR_QUERY = ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")


def command(
    words: list[str],
    what: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Output of a program. Raises InfraError with the last lines."""
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )
    except OSError as error:
        raise InfraError(f"{what}: cannot start {words[0]}: {error.strerror}") from error
    if done.returncode:
        tail = last_lines((done.stdout + done.stderr).strip().splitlines(), 6)
        raise InfraError(f"{what}: {words[0]} {describe_status(done.returncode)}", tail)
    return done.stdout


@functools.cmp_to_key
def _by_version(one: Path, other: Path) -> int:
    """Orders packages NAME_VERSION_ARCH.deb as dpkg does: 7.3.9 comes before 7.3.10."""
    versions = [unquote(path.name.split("_")[1]) for path in (one, other)]
    for relation, order in (("lt", -1), ("gt", 1)):
        words = ["dpkg", "--compare-versions", versions[0], relation, versions[1]]
        if subprocess.run(words, check=False).returncode == 0:
            return order
    return 0


class PrivateApt:
    """Packages from the system's mirror through a private apt configuration with its own sources,
    lists and cache; the system is not modified."""

    def __init__(self, root: Path, suites: Sequence[str], bare: bool = False) -> None:
        """Its files are below `root`. To `bare` nothing is installed, so that a package comes with
        all that it needs."""
        self._updated = False
        self._root = root
        self._suites = suites
        self._archives = self._root / "cache" / "archives"
        options = {
            "Dir::Etc::sourcelist": self._root / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": self._root / "lists",
            "Dir::Cache": self._root / "cache",
            "Dir::Cache::archives": self._archives,
            "APT::Sandbox::User": "root",
            **({"Dir::State::status": self._root / "status"} if bare else {}),
        }
        self._settings = [word for name in options for word in ("-o", f"{name}={options[name]}")]

    def kept(self, package: str) -> Path | None:
        """The newest cached file of `package`, which may be a pattern."""
        kept = sorted(self._archives.glob(f"{package}_*.deb"), key=_by_version)
        return kept[-1] if kept else None

    def names(self, prefix: str, report: Report) -> list[str]:
        """The packages on the mirror. Raises InfraError."""
        self._update(report)
        return command(["apt-cache", *self._settings, "pkgnames", prefix], _MIRROR).split()

    def fetch(self, package: str, report: Report) -> Path:
        """The file of a package: the cached one, or what the mirror has if it was last asked for
        this package more than a week ago. Raises InfraError if there is neither."""
        kept = self.kept(package)
        asked = self._root / "asked" / package
        if kept is not None and _age_s(asked) < _STALE_S:
            return kept
        try:
            self._update(report)
            report(f"downloading {package}")
            self._get("download", package, cwd=self._archives)
        except InfraError as error:
            if kept is None:
                raise
            report(f"{error.what}; using {kept.name}")
            return kept
        asked.parent.mkdir(exist_ok=True)
        asked.touch()
        if kept := self.kept(package):
            return kept
        raise InfraError(f"{_MIRROR}: apt did not download {package}")

    def versions(self, package: str, report: Report) -> list[str]:
        """The versions of a package on the mirror, newest first. Raises InfraError."""
        self._update(report)
        lines = command(["apt-cache", *self._settings, "madison", package], _MIRROR).splitlines()
        return [line.split("|")[1].strip() for line in lines if line.count("|") >= 2]

    def fetch_all(self, packages: Sequence[str], suite: str, report: Report) -> list[Path]:
        """The files of `packages` ("NAME=VERSION") and of all that they depend on, of `suite` where
        it has them. Raises InfraError."""
        self._update(report)
        words = ["install", "-y", "--no-install-recommends", "-t", suite, *packages]
        plan = command(["apt-get", "-qq", *self._settings, "--simulate", *words], _MIRROR)
        report(f"downloading {', '.join(packages)} and what they depend on")
        self._get("--download-only", *words)
        return [self._file(*match.groups()) for match in _INSTALLS.finditer(plan)]

    def _file(self, package: str, version: str) -> Path:
        escaped = version.replace(":", "%3a")
        for path in self._archives.glob(f"{package}_{escaped}_*.deb"):
            return path
        raise InfraError(f"{_MIRROR}: apt did not download {package} {version}")

    def _update(self, report: Report) -> None:
        """Once; mirrors do not change that often."""
        if self._updated:
            return
        self._updated = True
        for folder in (self._root / "lists" / "partial", self._archives / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        uri = _mirror()
        lines = (f"deb [signed-by={_KEYRING}] {uri} {suite} main\n" for suite in self._suites)
        (self._root / "status").touch()
        (self._root / "sources.list").write_text("".join(lines))
        report(f"reading {', '.join(self._suites)}")
        self._get("update")

    def _get(self, *words: str, cwd: Path | None = None) -> None:
        command(["apt-get", "-q", *self._settings, *words], _MIRROR, cwd)


def _age_s(path: Path) -> float:
    """Seconds since a file was touched."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _mirror() -> str:
    """URI of the system's Debian mirror."""
    uris = set(command(list(_MIRROR_QUERY), "apt").split())
    for uri in sorted(uris):
        if uri.rstrip("/").endswith("/debian"):
            return uri
    raise InfraError("no Debian mirror in apt's sources", tuple(sorted(uris)))
