# SPDX-License-Identifier: BSD-3-Clause
"""A copy of the tree in which one file at a time has a bug, and how tests run there."""

from __future__ import annotations

import contextlib
import enum
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mutant_list import Mutant

LIMIT_S = 300  # that the tests of one mutant may take; a loop without an end is noticed by it
_TAIL = 2000  # characters of what failed tests print

_FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_BAZEL_FAILURE = re.compile(r"^(//\S+) +.*(?:FAILED|TIMEOUT)", re.MULTILINE)


class CannotRun(Exception):
    """Tests cannot be run on this machine, or there are none."""


class Outcome(enum.Enum):
    """How tests ended."""

    PASSED = enum.auto()
    FAILED = enum.auto()
    TIMED_OUT = enum.auto()


@dataclass(frozen=True)
class Answer:
    """What tests say."""

    outcome: Outcome
    words: str = ""  # which test failed first
    tail: str = ""  # the end of what was printed


def _files(root: Path) -> list[str]:
    """What git knows or would add; in a Bazel test, where there is no git, all that is there."""
    if not (root / ".git").exists():
        return [
            str(path.relative_to(root))
            for folder, _, names in os.walk(root, followlinks=True)
            for path in (Path(folder, name) for name in names)
        ]
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in dict.fromkeys(listed.split("\0")) if (root / name).is_file()]


class ScratchTree:
    """Owns its folder, and the programs that it starts."""

    def __init__(self, root: Path, folder: Path) -> None:
        """Copies the tree at `root` to `folder`, which does not exist yet."""
        self.folder = folder
        self._bazel_base = folder.with_name(folder.name + ".bazel")
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False
        for name in _files(root):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, target)
            shutil.copymode(root / name, target)

    @contextlib.contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """The tree has the bug inside the `with`."""
        path = self.folder / mutant.file
        content = path.read_text(encoding="utf-8")
        path.write_text(mutant.apply(content), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(content, encoding="utf-8")

    def run(self, tests: Sequence[str]) -> Answer:
        """Runs tests in their sequence up to the first that fails. Raises CannotRun."""
        for is_target, group in groupby(tests, key=lambda test: test.startswith("//")):
            answer = self._bazel(list(group)) if is_target else self._pytest(list(group))
            if answer.outcome is not Outcome.PASSED:
                return answer
        return Answer(Outcome.PASSED)

    def _pytest(self, files: list[str]) -> Answer:
        options = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider"]
        # Sockets of tests need a short path.
        base = self.folder.with_name(self.folder.name + ".tmp")
        base.mkdir(exist_ok=True)
        environment = {
            "PYTHONPATH": str(self.folder / "qemu"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(base),
        }
        status, printed = self._call(
            ["/usr/bin/python3", "-B", "-m", "pytest", *options, f"--basetemp={base}/p", *files],
            environment,
        )
        shutil.rmtree(base, ignore_errors=True)
        if status is None:
            return Answer(Outcome.TIMED_OUT, f"{files[0]}: no end after {LIMIT_S} s", printed)
        if status == 0:
            return Answer(Outcome.PASSED)
        if status == 5:
            raise CannotRun(f"no tests in {' '.join(files)}")
        found = _FIRST_FAILURE.search(printed)
        words = found[1] if found else f"{files[0]}: pytest ended with status {status}"
        return Answer(Outcome.FAILED, words, printed)

    def _bazel(self, targets: list[str]) -> Answer:
        options = ["--color=no", "--curses=no", "--noshow_progress", "--test_output=errors"]
        status, printed = self._call(
            ["/usr/bin/bazel", f"--output_base={self._bazel_base}", "test", *options, *targets], {}
        )
        if status is None:
            return Answer(Outcome.TIMED_OUT, f"{targets[0]}: no end after {LIMIT_S} s", printed)
        if status == 0:
            return Answer(Outcome.PASSED)
        if status == 1:
            return Answer(Outcome.FAILED, "the compiler", printed)
        if status != 3:
            raise CannotRun(f"bazel test {' '.join(targets)} ended with {status}:\n{printed}")
        found = _BAZEL_FAILURE.search(printed)
        return Answer(Outcome.FAILED, found[1] if found else targets[0], printed)

    def _call(self, command: list[str], environment: dict[str, str]) -> tuple[int | None, str]:
        """Status and the end of the output of a program; None when it takes too long."""
        try:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise CannotRun(f"{command[0]}: {error.strerror}") from error
        self._process = process
        try:
            printed, _ = process.communicate(timeout=LIMIT_S)
            if self._is_closed:
                raise CannotRun("interrupted")
            return process.returncode, printed[-_TAIL:]
        except subprocess.TimeoutExpired:
            return None, ""
        finally:
            self._end(process)

    def _end(self, process: subprocess.Popen[str]) -> None:
        """Ends a program and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()

    def close(self) -> None:
        """Ends what still runs, Bazel's server included, and removes what it has built."""
        self._is_closed = True
        if self._process and self._process.poll() is None:
            self._end(self._process)
        if self._bazel_base.exists():
            command = ["/usr/bin/bazel", f"--output_base={self._bazel_base}", "shutdown"]
            subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
            for folder, names, _ in os.walk(self._bazel_base):
                for name in names:
                    with contextlib.suppress(OSError):
                        os.chmod(Path(folder, name), 0o700)
