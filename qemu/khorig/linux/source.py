# SPDX-License-Identifier: BSD-3-Clause
"""Sources of Linux."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Protocol

import xxhash

from khorig.linux.peer import STOCK, VERSIONS, cache_directory
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import PrivateApt, Report, command

_SUITE = "trixie-backports"


def linux_apt() -> PrivateApt:
    """Where packages of Linux come from."""
    return PrivateApt(cache_directory() / "apt", (_SUITE,))


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


class DebianSource:
    """Debian's package linux-source-VERSION."""

    edited = ""

    def __init__(self, version: str) -> None:
        """`version` such as "7.3"."""
        self.name = f"linux-{version}"
        self._package = f"linux-source-{version}"
        self._apt = linux_apt()
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
        name = re.sub(r"[^\w.-]", "_", self._directory.name)
        plain = name.removeprefix("linux-")
        self.name = f"linux-{name if plain in (*VERSIONS, STOCK) else plain}"

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
