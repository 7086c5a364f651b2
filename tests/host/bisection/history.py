# SPDX-License-Identifier: BSD-3-Clause
"""A little git repository whose commits say how they end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Sequence

FILE = "kernel/liveupdate/end"  # of a commit: one word for each of its runs, the last for all more
OTHER = "kernel/other"
_IDENTITY = {
    "GIT_AUTHOR_NAME": "A. Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.org",
    "GIT_COMMITTER_NAME": "A. Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def git(folder: Path, *words: str) -> str:
    """What git prints."""
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env={**os.environ, **_IDENTITY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class History:
    """A repository with one commit for each end, oldest first."""

    def __init__(self, folder: Path, ends: Sequence[str]) -> None:
        self.folder = folder
        self.commits: list[str] = []
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=main")
        (folder / "kernel/liveupdate").mkdir(parents=True)
        (folder / OTHER).write_text("never changes\n")
        for number, end in enumerate(ends):
            self.add(end, f"kho: change {number}")

    def add(self, end: str, subject: str) -> str:
        """Makes a commit."""
        (self.folder / FILE).write_text(end + "\n")
        git(self.folder, "add", ".")
        git(self.folder, "commit", "--quiet", "--allow-empty", "-m", subject)
        self.commits.append(git(self.folder, "rev-parse", "HEAD"))
        return self.commits[-1]

    def state(self) -> str:
        """All that a user could see changing: files, branches, work trees, a bisection."""
        listing = sorted(
            f"{path.relative_to(self.folder)} {path.lstat().st_mtime_ns}"
            for path in self.folder.rglob("*")
            if ".git" not in path.parts and path.is_file()
        )
        return "\n".join(
            [
                *listing,
                git(self.folder, "status", "--porcelain", "--branch"),
                git(self.folder, "for-each-ref"),
                git(self.folder, "worktree", "list"),
                str((self.folder / ".git/BISECT_LOG").exists()),
            ]
        )
