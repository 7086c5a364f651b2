# SPDX-License-Identifier: BSD-3-Clause
"""Linux's selftests of the Live Update Orchestrator (tools/testing/selftests/liveupdate)."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from khorig.linux.peer import Peer
from khorig.linux.user_space import compile_static
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import Report

PROGRAMS = ("luo_kexec_simple", "luo_multi_session", "luo_stress_files", "luo_stress_sessions")


def build_selftests(peer: Peer, tree: Callable[[], Path], report: Report) -> None:
    """Builds the selftests in the source into the peer's folder, once. Those of 7.2 need a C
    library and are skipped. Raises InfraError."""
    if peer.selftests.is_dir():
        return
    source = tree() / "tools/testing/selftests/liveupdate"
    helpers = source / "lib"
    programs = [name for name in PROGRAMS if (source / f"{name}.c").is_file()]
    if not (helpers / "include").is_dir():
        programs = []
    built = {}
    for name in programs:
        sources = [source / f"{name}.c", *sorted(helpers.glob("*.c"))]
        try:
            built[name] = compile_static(peer, sources, [helpers / "include"], f"{name}.c")
        except InfraError as error:
            report(f"{peer.short} for {peer.arch}: without {name}: {error.what}")
    peer.selftests.mkdir()
    for name, program in built.items():
        (peer.selftests / name).write_bytes(program)
        (peer.selftests / name).chmod(0o755)
