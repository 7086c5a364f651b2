# SPDX-License-Identifier: BSD-3-Clause
"""Sources of Linux."""

from __future__ import annotations

import functools
import math
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Callable, Mapping, Protocol
from urllib.parse import unquote

import xxhash

from khorig.linux.peer import cache_directory
from khorig.vm.errors import InfraError
from khorig.vm.exit_meaning import describe_status, last_lines

Report = Callable[[str], None]

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SUITE = "trixie-backports"
_MIRROR = "Debian's mirror"  # .ci/run matches this text
_STALE_S = 7 * 86400  # after which the mirror is queried again
_MIRROR_QUERY = ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")


class Source(Protocol):
    """A Linux source tree that may have to be fetched first."""

    name: str  # "linux-7.3"
    edited: str  # folder of a tree edited by the user; else ""

    def identity(self, report: Report) -> str:
        """A key of the content. Raises InfraError."""

    def tree(self, report: Report) -> Path:
        """The clean, unpacked tree. Raises InfraError."""

    def remove(self) -> None:
        """Deletes the unpacked tree."""


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

    def __init__(self) -> None:
        self._updated = False
        self._root = cache_directory() / "apt"
        self._archives = self._root / "cache" / "archives"
        options = {
            "Dir::Etc::sourcelist": self._root / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": self._root / "lists",
            "Dir::Cache": self._root / "cache",
            "Dir::Cache::archives": self._archives,
            "APT::Sandbox::User": "root",
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
        """The file of a package: the cached one, or what the mirror has if it was last queried more
        than a week ago. Raises InfraError if there is neither."""
        kept = self.kept(package)
        if kept is not None and self._queried_s() < _STALE_S:
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
        if kept := self.kept(package):
            return kept
        raise InfraError(f"{_MIRROR}: apt did not download {package}")

    def _update(self, report: Report) -> None:
        """Once; mirrors do not change that often."""
        if self._updated:
            return
        self._updated = True
        for folder in (self._root / "lists" / "partial", self._archives / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        line = f"deb [signed-by={_KEYRING}] {_mirror()} {_SUITE} main\n"
        (self._root / "sources.list").write_text(line)
        report(f"reading {_SUITE}")
        self._get("update")

    def _queried_s(self) -> float:
        """Seconds since the last query of the mirror."""
        try:
            return time.time() - (self._root / "sources.list").stat().st_mtime
        except FileNotFoundError:
            return math.inf

    def _get(self, *words: str, cwd: Path | None = None) -> None:
        command(["apt-get", "-q", *self._settings, *words], _MIRROR, cwd)


class DebianSource:
    """Debian's package linux-source-VERSION."""

    edited = ""

    def __init__(self, version: str) -> None:
        """`version` such as "7.3"."""
        self.name = f"linux-{version}"
        self._package = f"linux-source-{version}"
        self._apt = PrivateApt()
        self._trees = cache_directory() / "tree"

    def identity(self, report: Report) -> str:
        """Package and Debian version, unique on a mirror."""
        return self._apt.fetch(self._package, report).name

    def tree(self, report: Report) -> Path:
        """See Source."""
        package = self._apt.fetch(self._package, report)
        tree = self._trees / package.stem
        if tree.is_dir():
            return tree
        report(f"unpacking {package.name}")
        unpacking = self._trees / f"{self._package}.part"
        shutil.rmtree(unpacking, ignore_errors=True)
        (unpacking / "tree").mkdir(parents=True)
        command(["dpkg-deb", "-x", str(package), str(unpacking)], "unpacking")
        archive = unpacking / "usr" / "src" / f"{self._package}.tar.xz"
        words = ["tar", "-xJf", str(archive), "-C", str(unpacking / "tree")]
        command([*words, "--strip-components=1"], "unpacking")
        (unpacking / "tree").rename(tree)
        shutil.rmtree(unpacking)
        return tree

    def remove(self) -> None:
        """See Source. The package is kept."""
        for tree in self._trees.glob(f"{self._package}_*"):
            shutil.rmtree(tree, ignore_errors=True)


class OwnSource:
    """The user's source tree. It is not modified; objects go to the cache."""

    def __init__(self, directory: Path) -> None:
        """The tree must be clean (`make mrproper`)."""
        self._directory = directory.resolve()
        self.edited = str(self._directory)
        # Chains have commas between the names of kernels, and paths have slashes.
        self.name = "linux-" + re.sub(r"[^\w.-]", "_", self._directory.name)

    def identity(self, report: Report) -> str:
        """A digest of names and contents of all files."""
        if not (self._directory / "kernel" / "liveupdate").is_dir():
            raise InfraError(
                f"{self._directory}: not a Linux source tree with KHO (no kernel/liveupdate)"
            )
        # The check of Linux's makefiles, which report it late.
        for trace in (".config", "include/config", "arch/*/include/generated"):
            if any(self._directory.glob(trace)):
                raise InfraError(
                    f"{self._directory}: tree is not clean, out-of-tree build impossible",
                    (
                        f"fix: make -C {self._directory} mrproper",
                        f"or use a copy: git -C {self._directory} worktree add FOLDER",
                    ),
                )
        report(f"reading {self._directory}")
        digest = xxhash.xxh64()
        for folder, folders, files in os.walk(self._directory):
            folders[:] = sorted(name for name in folders if name != ".git")
            for name in sorted(files):
                path = Path(folder, name)
                digest.update(f"{path.relative_to(self._directory)}\n")
                if path.is_file():
                    digest.update(path.read_bytes())
        return digest.hexdigest()

    def tree(self, report: Report) -> Path:
        """See Source."""
        return self._directory

    def remove(self) -> None:
        """Nothing: the user's tree is kept."""


def _mirror() -> str:
    """URI of the system's Debian mirror."""
    uris = set(command(list(_MIRROR_QUERY), "apt").split())
    for uri in sorted(uris):
        if uri.rstrip("/").endswith("/debian"):
            return uri
    raise InfraError("no Debian mirror in apt's sources", tuple(sorted(uris)))
