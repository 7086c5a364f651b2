# SPDX-License-Identifier: BSD-3-Clause
"""Debian's own kernel, built without KHO: a target that cannot accept a handover."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from khorig.linux.peer import IMAGE_TARGET, STOCK, Peer, cache_directory, write_peer
from khorig.linux.source import linux_apt
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import Report, command

ARCH = "x86_64"
NAME = f"linux-{STOCK}"

_PREFIX = "linux-binary-7."
_SUFFIX = "-cloud-amd64"  # the smallest with a serial console


def fetch_stock(report: Report) -> Peer:
    """The newest one that the mirror has; the newest in the cache where the mirror does not answer.
    Raises InfraError when there is neither."""
    apt = linux_apt()
    try:
        names = [name for name in apt.names(_PREFIX, report) if name.endswith(_SUFFIX)]
        if not names:
            raise InfraError(f"the mirror has no {_PREFIX}*{_SUFFIX}")
        package = apt.fetch(max(names, key=_version), report)
    except InfraError as error:
        if (kept := apt.kept(f"{_PREFIX}*{_SUFFIX}")) is None:
            raise
        report(f"{error.what}; using {kept.name}")
        package = kept
    release = package.name.removeprefix("linux-binary-").partition("_")[0]
    peer = Peer(ARCH, NAME, release, cache_directory() / "peers" / f"{NAME}-{package.stem}")
    if not peer.image.is_file():
        _unpack(package, peer)
    return peer


def _version(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _unpack(package: Path, peer: Peer) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command(["dpkg-deb", "-x", str(package), folder], "unpacking")
        images = list(Path(folder).rglob("vmlinuz*"))
        if len(images) != 1:
            raise InfraError(f"{package.name} has {len(images)} kernels, expected one")
        shutil.rmtree(peer.directory, ignore_errors=True)
        peer.directory.mkdir(parents=True)
        shutil.copy(images[0], peer.directory / IMAGE_TARGET[peer.arch])
    write_peer(peer)
