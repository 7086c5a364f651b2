# SPDX-License-Identifier: BSD-3-Clause
"""A commit as the source of a peer."""

from __future__ import annotations

from pathlib import Path

from khorig.linux.bisect_repository import SHOWN, Repository
from khorig.vm.errors import InfraError
from khorig.vm.private_apt import Report


def peer_name(commit: str) -> str:
    """What the kernel of a commit is called in a chain."""
    return f"linux-{commit[:SHOWN]}"


class CommitSource:
    """What is checked out in a work tree. Objects stay where they are from commit to commit."""

    def __init__(self, worktree: Path, commit: str) -> None:
        """`commit` is checked out in `worktree`, which nobody edits."""
        self.name = peer_name(commit)
        self.edited = str(worktree)
        self._worktree = worktree

    def identity(self, report: Report) -> str:
        """The object name of the tree. Raises InfraError."""
        if not (self._worktree / "kernel" / "liveupdate").is_dir():
            raise InfraError("no Linux source tree with KHO (no kernel/liveupdate)")
        return Repository(self._worktree).git("rev-parse", "HEAD^{tree}")

    def tree(self, report: Report) -> Path:
        """See Source."""
        return self._worktree

    def remove(self) -> None:
        """Nothing: it is the work tree's owner who removes it."""
