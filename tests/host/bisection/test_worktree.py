# SPDX-License-Identifier: BSD-3-Clause
"""The work tree of a bisection: what make sees of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bisection.history import FILE, OTHER, History, git

from khorig.linux.bisect_repository import Repository
from khorig.linux.bisect_worktree import Worktree, worktree_path
from khorig.linux.commit_source import CommitSource
from khorig.vm.errors import InfraError


def _quiet(line: str) -> None:
    del line


@pytest.fixture(name="history")
def history_fixture(tmp_path: Path) -> History:
    return History(tmp_path / "src" / "a tree, or $HOME", ("pass", "fail", "pass"))


def _times(path: Path) -> dict[str, int]:
    return {name: (path / name).stat().st_mtime_ns for name in (FILE, OTHER)}


def _visit(history: History, *commits: str, then_s: int = 0) -> dict[str, int]:
    """Times of files when the last of these commits is checked out. With `then_s` that is when they
    were written: git compares seconds."""
    with Worktree(Repository(history.folder), commits[0], _quiet) as worktree:
        # Also where git takes away what it takes for edits.
        git(worktree.path, "checkout", "--quiet", "--force", commits[0])
        for commit in commits[1:]:
            git(worktree.path, "checkout", "--quiet", commit)
        for name in (FILE, OTHER) if then_s else ():
            os.utime(worktree.path / name, (then_s, then_s))
        return _times(worktree.path)


def test_a_file_that_did_not_change_is_as_old_as_it_was(history: History) -> None:
    """make compiles what is newer than its object."""
    one, two, three = history.commits
    first = _visit(history, one, then_s=10**9)
    assert not worktree_path(history.folder).exists()
    assert _visit(history, one) == first
    second = _visit(history, two)
    assert second[OTHER] == first[OTHER] and second[FILE] > first[FILE]
    third = _visit(history, two, three)
    assert third[OTHER] == first[OTHER] and third[FILE] > second[FILE]
    # What it was at first it has become again, and its object may be of the second.
    assert _visit(history, one)[FILE] == third[FILE]
    assert _visit(history, one, two)[FILE] > third[FILE]


def test_times_outlive_a_tree_that_is_not_all_there(history: History) -> None:
    """Whoever is interrupted while it is checked out or removed does not compile everything."""
    before = _visit(history, history.commits[0], then_s=10**9)
    path = worktree_path(history.folder)
    git(history.folder, "worktree", "add", "--quiet", "--no-checkout", "--detach", str(path))
    assert _visit(history, history.commits[0]) == before
    # In use, the tree itself has them.
    git(history.folder, "worktree", "add", "--quiet", "--detach", str(path), history.commits[0])
    path.with_name(path.name + ".times").unlink()
    now = _times(path)
    assert _visit(history, history.commits[0]) == now != before


@pytest.mark.parametrize("damage", [b"", b"x", b"\0\0 \0", b"\xff\xfe", b"a b c\0", b"../x 1 2\0"])
def test_damaged_times_make_all_files_new(history: History, damage: bytes) -> None:
    before = _visit(history, history.commits[0])
    path = worktree_path(history.folder)
    path.with_name(path.name + ".times").write_bytes(damage)
    after = _visit(history, history.commits[0])
    assert after[OTHER] > before[OTHER] and after[FILE] > before[FILE]


def test_the_path_is_one_that_linux_can_be_built_in(history: History) -> None:
    """Its makefiles bear neither spaces nor colons."""
    path = worktree_path(history.folder)
    assert path.name.startswith("a_tree__or__HOME-")
    assert path == worktree_path(history.folder)
    assert path != worktree_path(history.folder.parent / "a_tree__or__HOME")


def test_what_a_killed_bisection_left_is_taken_away(history: History) -> None:
    path = worktree_path(history.folder)
    path.parent.mkdir(parents=True)
    git(history.folder, "worktree", "add", "--quiet", "--detach", str(path), history.commits[2])
    git(path, "bisect", "start", history.commits[2], history.commits[0])
    (path / OTHER).write_text("half of a check-out\n")
    with Worktree(Repository(history.folder), history.commits[0], _quiet) as worktree:
        assert Repository(worktree.path).git("status", "--porcelain") == ""
        assert (path / OTHER).read_text() == "never changes\n"
    assert not path.exists()


@pytest.mark.parametrize("left", ["folder", "entry"])
def test_half_a_work_tree_is_taken_away(history: History, left: str) -> None:
    """A folder that git does not know, or a folder that is gone behind git's back."""
    path = worktree_path(history.folder)
    if left == "folder":
        path.mkdir(parents=True)
        (path / "file").touch()
    else:
        path.parent.mkdir(parents=True)
        git(history.folder, "worktree", "add", "--quiet", "--detach", str(path), "HEAD")
        os.rename(path, path.with_name("elsewhere"))
    assert _visit(history, history.commits[0])
    assert not path.exists()


def test_a_source_is_known_by_its_tree(history: History) -> None:
    """A commit that changes nothing needs no build, whatever its name."""
    one, _, three = history.commits
    with Worktree(Repository(history.folder), one, _quiet) as worktree:
        first = CommitSource(worktree.path, one)
        identity = first.identity(_quiet)
        assert first.name == f"linux-{one[:12]}"
        git(worktree.path, "checkout", "--quiet", three)
        assert CommitSource(worktree.path, three).identity(_quiet) == identity
        (worktree.path / FILE).unlink()
        (worktree.path / FILE).parent.rmdir()
        with pytest.raises(InfraError, match="no kernel/liveupdate"):
            first.identity(_quiet)
