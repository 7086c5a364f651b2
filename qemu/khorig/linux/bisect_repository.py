# SPDX-License-Identifier: BSD-3-Clause
"""The git repository whose commits are tested."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from khorig.vm.errors import InfraError
from khorig.vm.private_apt import command

# The user's hooks and helpers are for the user's work tree, and may write into it.
_SETTINGS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "submodule.recurse=false"),
    *("-c", "advice.detachedHead=false"),
    *("-c", "gc.auto=0"),
)
SHOWN = 12  # digits of an object name


class NotBisectable(InfraError):
    """The tree or the range that the user named cannot be bisected."""


def git_environment() -> dict[str, str]:
    """Without GIT_DIR and its kind, which would lead git from the folder that it is run in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "LC_ALL": "C.UTF-8"}


def git_words(folder: Path, *words: str) -> list[str]:
    """A command of git in a folder, without hooks."""
    return ["git", "-C", str(folder), *_SETTINGS, *words]


class Repository:
    """Commits, as git in a folder sees them."""

    def __init__(self, folder: Path) -> None:
        """`folder` is a work tree or a folder in it. Raises NotBisectable, InfraError without
        git."""
        try:
            top = self._in(folder, "rev-parse", "--show-toplevel")
        except InfraError as error:
            why = tuple(line for line in error.evidence if line.startswith("fatal:"))
            if not why:
                raise
            raise NotBisectable(f"{folder}: not a work tree of git", why) from None
        self.folder = Path(top.removesuffix("\n")).resolve()

    def git(self, *words: str) -> str:
        """What git prints, without the last newline. Raises InfraError with git's words."""
        return self._in(self.folder, *words).removesuffix("\n")

    def commit(self, revision: str) -> str:
        """The full object name. Raises NotBisectable."""
        try:
            if "\0" in revision or not revision:
                raise InfraError(revision)
            words = ("--verify", "--quiet", "--end-of-options", revision + "^{commit}")
            return self.git("rev-parse", *words)
        except InfraError:
            raise NotBisectable(f"{self.folder}: no commit '{revision}'") from None

    def is_ancestor(self, one: str, other: str) -> bool:
        """Whether `other` has all of the history of `one`."""
        words = git_words(self.folder, "merge-base", "--is-ancestor", one, other)
        done = subprocess.run(words, capture_output=True, check=False, env=git_environment())
        return done.returncode == 0

    def merge_base(self, one: str, other: str) -> str:
        """Newest common ancestor, or ""."""
        try:
            return self.git("merge-base", one, other)
        except InfraError:
            return ""

    def describe(self, commit: str) -> str:
        """Object name and subject: '25a3ae8be3c6 ("kho: fix the order of a block")'."""
        return f'{commit[:SHOWN]} ("{self.subject(commit)}")'

    def subject(self, commit: str) -> str:
        """The first line of a commit's message."""
        return self.git("log", "-1", "--format=%s", commit)

    def count(self, good: str, bad: str) -> int:
        """Commits in the range, `bad` included."""
        return int(self.git("rev-list", "--count", f"{good}..{bad}"))

    def is_dirty(self) -> bool:
        """Whether tracked files have changes that are not committed."""
        return bool(self.git("status", "--porcelain", "--untracked-files=no"))

    def _in(self, folder: Path, *words: str) -> str:
        return command(git_words(folder, *words), str(folder), environment=git_environment())


def check_range(repository: Repository, good: str, bad: str) -> None:
    """Raises NotBisectable unless `good` is a proper ancestor of `bad`; both are full names."""
    if good == bad:
        raise NotBisectable(f"empty range: good and bad are both {repository.describe(good)}")
    if repository.is_ancestor(good, bad):
        return
    what = f"good {good[:SHOWN]} is not an ancestor of bad {bad[:SHOWN]}"
    if repository.is_ancestor(bad, good):
        raise NotBisectable(f"{what}, but its descendant", ("are --good and --bad swapped?",))
    base = repository.merge_base(good, bad)
    hint = f"test their merge base: --good {base[:SHOWN]}" if base else "they share no history"
    raise NotBisectable(what, (hint,))
