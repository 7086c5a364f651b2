# SPDX-License-Identifier: BSD-3-Clause
"""The work tree in which commits are checked out and built."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from pathlib import Path
from types import TracebackType
from typing import Iterator

import xxhash

from khorig.linux.bisect_repository import Repository
from khorig.linux.peer import cache_directory
from khorig.vm.errors import InfraError
from khorig.vm.partial_file import partial_file
from khorig.vm.private_apt import Report


def worktree_path(source: Path) -> Path:
    """Where commits of the tree `source` are checked out. The same each time: objects of a build
    are bound to it. No character that Linux's makefiles cannot bear."""
    name = re.sub(r"[^\w.-]", "_", source.name, flags=re.ASCII)
    digest = xxhash.xxh64(os.fsencode(source)).hexdigest()[:8]
    return cache_directory() / "bisect" / f"{name}-{digest}"


class Worktree:
    """A `git worktree` below the cache, there as long as the context. The user's work tree is not
    touched.

    make decides by times. They are kept beside the tree when it is removed, so that the next
    bisection of the same source builds what has changed, and no more.
    """

    def __init__(self, repository: Repository, commit: str, report: Report) -> None:
        """`commit` is what is checked out first."""
        self._repository = repository
        self._commit = commit
        self._report = report
        self.path = worktree_path(repository.folder)
        self._times = self.path.with_name(self.path.name + ".times")
        self._lock = contextlib.ExitStack()
        self.lock = -1  # descriptor that keeps others out, also when only a child has it open

    def __enter__(self) -> Worktree:
        """Raises InfraError, also when another bisection has the tree."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(self._locked())
            self._add()
        except OSError as error:
            self._lock.close()
            raise InfraError(f"{error.filename}: {error.strerror}") from error
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._remove()
        except OSError as problem:
            raise InfraError(f"{problem.filename}: {problem.strerror}") from problem
        finally:
            self._lock.close()

    def _add(self) -> None:
        self._remove()  # of a bisection that was killed
        self._report(f"checking out {self._repository.describe(self._commit)}")
        words = ("worktree", "add", "--force", "--detach", str(self.path), self._commit)
        try:
            self._repository.git(*words)
            self._restore_times()
        except BaseException:
            with contextlib.suppress(InfraError, OSError):
                self._remove()
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.with_name(self.path.name + ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InfraError(f"another bisection of {self._repository.folder} runs") from None
            self.lock = lock.fileno()
            yield

    def _remove(self) -> None:
        if not self.path.exists():
            return
        with contextlib.suppress(OSError):  # also when nobody listens any more
            self._report(f"removing the work tree {self.path}")
        # As long as they are there they are right: of a tree that is not all there yet, or not any
        # more.
        if not self._times.exists():
            with contextlib.suppress(InfraError):
                self._save_times()
        try:
            self._repository.git("worktree", "remove", "--force", "--force", str(self.path))
        except InfraError:  # one that git does not know any more
            shutil.rmtree(self.path, ignore_errors=True)

    def _save_times(self) -> None:
        with partial_file(self._times) as partial:
            with partial.open("w", encoding="utf-8", errors="surrogateescape") as sink:
                for name, blob in self._files():
                    with contextlib.suppress(FileNotFoundError):
                        time_ns = os.lstat(self.path / name).st_mtime_ns
                        sink.write(f"{blob} {time_ns} {name}\0")

    def _restore_times(self) -> None:
        """A file that is not as it was when the times were saved stays as new as it is. From then
        on the tree has the times."""
        kept = self._kept_times()
        for name, blob in self._files():
            known, time_ns = kept.get(name, ("", 0))
            if known == blob:
                os.utime(self.path / name, ns=(time_ns, time_ns), follow_symlinks=False)
        # To git they look edited now, and it would write them again.
        Repository(self.path).git("update-index", "-q", "--refresh")
        self._times.unlink(missing_ok=True)

    def _kept_times(self) -> dict[str, tuple[str, int]]:
        """By name, the blob and the time. Nothing when they are damaged."""
        try:
            text = self._times.read_text(encoding="utf-8", errors="surrogateescape")
            records = (record.split(" ", 2) for record in text.split("\0") if record)
            return {name: (blob, int(time_ns)) for blob, time_ns, name in records}
        except (OSError, ValueError):
            return {}

    def _files(self) -> Iterator[tuple[str, str]]:
        """Name and blob of all tracked files. Raises InfraError."""
        for record in Repository(self.path).git("ls-files", "--stage", "-z").split("\0"):
            if record:
                numbers, name = record.split("\t", 1)
                yield name, numbers.split(" ")[1]
