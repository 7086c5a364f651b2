# SPDX-License-Identifier: BSD-3-Clause
"""Linux's selftests of KHO and of the Live Update Orchestrator (tools/testing/selftests)."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable

import xxhash

from khorig.linux.peer import Peer, build_command
from khorig.linux.user_space import FLAGS, compile_static
from khorig.mem.untrusted import Untrusted, read_object, typed
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import Report

_MISSING = Path(__file__).parent / "user" / "missing.h"
_LIST = "selftests.json"
_LARGEST = 1 << 16  # bytes of it
_MAKEFILE = re.compile(r"^TEST_GEN_PROGS(?P<extended>_EXTENDED)?\s*[:+]?=(?P<names>.*)$", re.M)
_NAME = re.compile(r"[A-Za-z0-9_-]+")
# The compiler must not put calls into what nolibc does not have.
_FLAGS = {
    "x86_64": ("-fno-builtin",),
    "arm64": ("-fno-builtin", "-mno-outline-atomics"),
}


@dataclass(frozen=True)
class Selftests:
    """The programs that a tree has, as its Makefile lists them."""

    recipe: str  # a key of how they were built
    once: tuple[str, ...] = ()  # they need no kexec
    staged: tuple[str, ...] = ()  # two stages with a kexec in between
    not_built: tuple[str, ...] = ()  # each with the reason
    has_kho: bool = False  # whether the tree has selftests/kho


def build_selftests(peer: Peer, tree: Callable[[], Path], report: Report) -> None:
    """Builds the selftests in the source into the peer's folder, once. Raises InfraError."""
    recipe = _recipe()
    if (known := _read(peer)) is not None and known.recipe == recipe:
        return
    source = tree() / "tools/testing/selftests"
    folder = source / "liveupdate"
    once, staged = _listed(folder)
    built: dict[str, bytes] = {}
    failed = {}
    for name in (*once, *staged):
        try:
            built[name] = _compile(peer, folder, name)
        except InfraError as error:
            failed[name] = error.what
            report(f"{peer.short} for {peer.arch}: without {name}: {error.what}")
    shutil.rmtree(peer.selftests, ignore_errors=True)
    peer.selftests.mkdir()
    for name, program in built.items():
        (peer.selftests / name).write_bytes(program)
        (peer.selftests / name).chmod(0o755)
    found = Selftests(
        recipe,
        tuple(name for name in once if name in built),
        tuple(name for name in staged if name in built),
        tuple(f"{name}: {why}" for name, why in failed.items()),
        (source / "kho").is_dir(),
    )
    (peer.selftests / _LIST).write_text(json.dumps(asdict(found), indent=1) + "\n")


def selftests_of(peer: Peer) -> Selftests:
    """Those built for a peer. Raises InfraError with the command that builds them."""
    found = _read(peer)
    if found is None:
        what = f"{peer.short} for {peer.arch} was built without its selftests"
        raise InfraError(what, (f"fix: {build_command(peer.arch, peer.name)}",))
    return found


def _read(peer: Peer) -> Selftests | None:
    try:
        record = read_object((peer.selftests / _LIST).read_bytes(), _LARGEST)
        found = typed(Selftests, record)
    except (OSError, Untrusted):
        return None
    names = (*found.once, *found.staged)
    whole = all(_NAME.fullmatch(name) and (peer.selftests / name).is_file() for name in names)
    return found if whole else None


def _recipe() -> str:
    parts = (FLAGS, sorted(_FLAGS.items()), _MISSING.read_text())
    return xxhash.xxh64_hexdigest(repr(parts))


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Names of programs without and with stages."""
    once: list[str] = []
    staged: list[str] = []
    try:
        makefile = (folder / "Makefile").read_text(errors="replace")
    except OSError:
        return once, staged
    for found in _MAKEFILE.finditer(makefile.replace("\\\n", " ")):
        names = [name for name in found["names"].split() if _NAME.fullmatch(name)]
        (staged if found["extended"] else once).extend(
            name for name in names if (folder / f"{name}.c").is_file()
        )
    return once, staged


def _compile(peer: Peer, folder: Path, name: str) -> bytes:
    helpers = [*sorted((folder / "lib").glob("*.c")), *sorted(folder.glob("*_utils.c"))]
    includes = [folder / "lib" / "include", folder, folder.parent]
    flags = (*_FLAGS[peer.arch], "-include", str(_MISSING))
    return compile_static(peer, [folder / f"{name}.c", *helpers], includes, f"{name}.c", flags)
