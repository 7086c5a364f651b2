# SPDX-License-Identifier: BSD-3-Clause
"""Chains with real Linux, for tests."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any, Sequence

import pytest

from khorig.guest.chain_run import ChainRun
from khorig.linux.chain import must_count
from khorig.linux.chain_kind import chain_kind
from khorig.linux.peer import Peer, build_command, list_peers
from khorig.out.session_documents import SessionDocuments
from khorig.out.text import result_lines
from khorig.rules.finding import Verdict
from khorig.run.judging import StopHook
from khorig.run.result import RunResult
from khorig.run.session import Session
from khorig.vm.cancellation import Cancellation
from khorig.vm.machines import MACHINES

GIB = 1 << 30

ONE_OF_EACH = pytest.mark.parametrize("machine", ["q35", "virt"])


def arch_of(machine: str) -> str:
    """The architecture of a machine."""
    return next(known.arch for known in MACHINES if known.name == machine)


def built_peer(arch: str, name: str) -> Peer:
    """The kernel in the cache; without it the test is skipped, with the command that builds it."""
    for peer in list_peers():
        if (peer.arch, peer.name) == (arch, name):
            return peer
    command = build_command(arch, name)
    pytest.skip(f"{name} for {arch} is not built; build it: {command}")


def use_own_cache() -> None:
    """Bazel gives tests a home of their own; the peers are in the user's."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    os.environ.setdefault("XDG_CACHE_HOME", os.path.join(home, ".cache"))


class Chains:
    """Runs chains and keeps what they leave below one folder."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def run(
        self,
        machine: str,
        kernels: Sequence[str],
        hooks: Sequence[StopHook] = (),
        keep: bool = False,
        **spec: Any,
    ) -> RunResult:
        """One run; skipped, with the command that mends it, when a kernel of it is not built.
        `keep` keeps guest RAM at every stop."""
        arch = arch_of(machine)
        for name in kernels:
            if name.startswith("linux-"):
                built_peer(arch, name)
        session = Session(
            self._out,
            chain_kind(hooks=lambda spec: hooks),
            SessionDocuments(),
            Cancellation(),
            keep=keep,
            record=False,
        )
        values: dict[str, Any] = {"memory": GIB, "seed": 0x5EED0001, "timeout_s": 300.0}
        values |= {"counted": must_count(machine), **spec}
        return session.run(ChainRun(arch=arch, machine=machine, kernels=tuple(kernels), **values))


def expect_pass(result: RunResult) -> None:
    """Fails with what a user would be told."""
    if result.verdict is not Verdict.PASS:
        pytest.fail("\n".join(result_lines(result)), pytrace=False)
