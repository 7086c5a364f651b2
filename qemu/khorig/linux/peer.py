# SPDX-License-Identifier: BSD-3-Clause
"""Linux kernels built for the rig."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from khorig.guest.chain_run import short_name, split_build
from khorig.mem.untrusted import Untrusted, read_object, text
from khorig.vm.cache_root import cache_root
from khorig.vm.errors import InfraError

_DESCRIPTION = "peer.json"
_LARGEST = 1 << 16  # bytes of it
_KEY = re.compile("[0-9a-f]{16}")
_SHOWN = 8  # digits of it
_MORE = re.compile(r"\d+-more-[0-9a-f]{6}")  # in short_name()

# Names in Linux's makefiles and of GNU compilers, and the image to boot.
KERNEL_ARCH = {"x86_64": "x86_64", "arm64": "arm64"}
CROSS_PREFIX = {"x86_64": "x86_64-linux-gnu-", "arm64": "aarch64-linux-gnu-"}
IMAGE_TARGET = {"x86_64": "bzImage", "arm64": "Image"}
IMAGE_PATH = {"x86_64": "arch/x86/boot/bzImage", "arm64": "arch/arm64/boot/Image"}

ARCHITECTURES = tuple(KERNEL_ARCH)
VERSIONS = ("7.3", "7.2")
STOCK = "stock"  # in place of a version: Debian's own kernel


@dataclass(frozen=True)
class Peer:
    """A built kernel with headers for its user space."""

    arch: str
    name: str  # name in a chain, "linux-7.3"
    release: str  # "7.3.4"
    directory: Path

    @property
    def image(self) -> Path:
        """The image for QEMU and kexec."""
        return self.directory / IMAGE_TARGET[self.arch]

    @property
    def build(self) -> str:
        """16 hexadecimal digits: a hash of source, configuration and compiler, or for a kernel of
        Debian's of its package."""
        last = self.directory.name.rpartition("-")[2]
        if _KEY.fullmatch(last):
            return last
        import xxhash

        return xxhash.xxh64_hexdigest(self.directory.name)

    @property
    def pinned(self) -> str:
        """The name in a chain that stands for exactly this build: "linux-7.3:33279efd"."""
        return f"{self.name}:{self.build[:_SHOWN]}"

    @property
    def listed(self) -> str:
        """The same with the short name, for lines."""
        return f"{self.short}:{self.build[:_SHOWN]}"

    @property
    def short(self) -> str:
        """The name for lines and folders."""
        return short_name(self.name)

    @property
    def symbols(self) -> Path:
        """The kernel as ELF, with its symbols."""
        return self.directory / "vmlinux"

    @property
    def headers(self) -> Path:
        """nolibc and the kernel's uapi headers."""
        return self.directory / "include"

    @property
    def selftests(self) -> Path:
        """Linux's selftests that could be built."""
        return self.directory / "selftests"


def cache_directory() -> Path:
    """Cache of built kernels; not created here."""
    return cache_root() / "linux"


def write_peer(peer: Peer) -> None:
    """Writes the description; peers without one are not listed."""
    description = {**asdict(peer), "directory": peer.directory.name}
    (peer.directory / _DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def list_peers() -> list[Peer]:
    """All complete peers, newest build first."""
    found: list[tuple[float, Peer]] = []
    for path in cache_directory().glob(f"peers/*/{_DESCRIPTION}"):
        try:
            fields = read_object(path.read_bytes(), _LARGEST)
            arch, name, release = (text(fields.get(key)) for key in ("arch", "name", "release"))
            peer = Peer(arch, name, release, path.parent)
        except (OSError, Untrusted):
            continue
        if peer.image.is_file():
            found.append((path.stat().st_mtime, peer))
    return [peer for _, peer in sorted(found, key=lambda item: item[0], reverse=True)]


def make_newest(peer: Peer) -> None:
    """Marks a cached build as the newest of its name, e.g. after an edit was reverted."""
    (peer.directory / _DESCRIPTION).touch()


def build_command(arch: str, name: str) -> str:
    """The command that builds peer `name`, from the source that is there then."""
    version, *settings = split_build(name)[0].removeprefix("linux-").split("@")
    source = f"--version {version}" if version in (*VERSIONS, STOCK) else "--source FOLDER"
    words = ["scripts/khorig linux build", source, f"--arch {arch}"]
    if settings and _MORE.fullmatch(settings[-1]):
        settings = ["NAME=VALUE..."]  # which ones, a short name does not tell
    words += [f"--config {text}" if "=" in text else f"--config {text}=y" for text in settings]
    return " ".join(words)


def _parts(name: str) -> tuple[str, list[str]]:
    """Of a peer's name: the order of its settings does not matter."""
    peer, *settings = name.split("@")
    return peer, sorted(settings)


def find_peer(arch: str, name: str) -> Peer:
    """The newest build of `name`, long or short, or the one it pins. Raises InfraError with the
    command that builds it."""
    plain, build = split_build(name)
    peers = (peer for peer in list_peers() if peer.arch == arch)
    builds = [p for p in peers if plain == p.short or _parts(plain) == _parts(p.name)]
    for peer in builds:
        if peer.build.startswith(build):
            return peer
    evidence = [f"fix: {build_command(arch, name)}"]
    if builds:
        others = ", ".join(peer.listed for peer in builds)
        evidence[:0] = [f"there are {others}", "the fix gives this build from the same source only"]
    raise InfraError(f"{name} is not built for {arch}", tuple(evidence))


def pinned(arch: str, name: str) -> str:
    """`name` with the build that it stands for now; as it is for any other kernel, and for a peer
    that is not built, which the run reports."""
    if "/" in name or not name.startswith("linux-"):
        return name
    try:
        return find_peer(arch, name).pinned
    except InfraError:
        return name
