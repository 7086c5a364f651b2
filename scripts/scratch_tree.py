# SPDX-License-Identifier: BSD-3-Clause
"""A copy of the tree in which one file at a time has a bug, and how tests run there."""

from __future__ import annotations

import contextlib
import enum
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mutant_list import Mutant

BAZEL = "/usr/bin/bazel"
LIMIT_S = 300  # that a pytest file or folder may take; a loop without an end is noticed by it
_BUILD_LIMIT_S = 3600  # that Bazel may take, which limits tests by itself
_TAIL = 2000  # characters of what failed tests print

_FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_BAZEL_FAILURE = re.compile(r"^(//\S+) +.*(?:FAILED|TIMEOUT) in ", re.MULTILINE)
_CASE_FAILURE = re.compile(r"^\[  FAILED  \] ([^\s,]+)", re.MULTILINE)
_COMPILER_ERROR = re.compile(r"^.*?\berror: .*", re.MULTILINE)
# What the code itself asserts while it is built; any other error is the list's.
_BUILD_ASSERTION = re.compile(r"error: (static assertion failed.*)")

# The same for every call, since Bazel forgets what it knows of the tree when options change.
_OPTIONS = (
    "--color=no",
    "--curses=no",
    "--noshow_progress",
    "--test_output=errors",
    "--test_timeout=60,120,900,3600",
)
BOOTING = ("tests/e2e", "tests/linux", "tests/uefi")  # their tests boot kernels
_KERNELS = tuple(
    f"//kernel:khorig-{arch}{part}" for arch in ("x86_64", "arm64") for part in ("", "-archive")
)
_VOLUMES = ("//kernel:khorig-x86_64-esp", "//kernel:khorig-arm64-esp")


class CannotRun(Exception):
    """Tests cannot be run on this machine, or there are none."""


class Outcome(enum.Enum):
    """How tests ended."""

    PASSED = enum.auto()
    FAILED = enum.auto()
    TIMED_OUT = enum.auto()
    NOT_BUILT = enum.auto()


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


def _inherited() -> dict[str, str]:
    """The environment without what Bazel gives a test, as which this may run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TEST_") and not name.endswith("RUNFILES_DIR")
    }
    return {"HOME": pwd.getpwuid(os.getuid()).pw_dir, **kept}


def _expect_tests(status: int, targets: Sequence[str], printed: str) -> None:
    if status != 3:
        raise CannotRun(f"bazel test {' '.join(targets)} ended with {status}:\n{printed[-_TAIL:]}")


def _not_built(printed: str) -> Answer:
    if asserted := _BUILD_ASSERTION.search(printed):
        return Answer(Outcome.FAILED, asserted[1], printed[-_TAIL:])
    error = _COMPILER_ERROR.search(printed)
    return Answer(Outcome.NOT_BUILT, error[0] if error else "the build failed", printed[-_TAIL:])


class ScratchTree:
    """Owns its folder, and the programs that it starts."""

    def __init__(self, root: Path, folder: Path) -> None:
        """Copies the tree at `root` to `folder`, which does not exist yet."""
        self.folder = folder
        self._bazel_base = folder.with_name(folder.name + ".bazel")
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False
        self._is_planted = False
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
        self._is_planted = True
        try:
            yield
        finally:
            self._is_planted = False
            path.write_text(content, encoding="utf-8")

    def run(self, tests: Sequence[str], kernels: bool) -> Answer:
        """Runs tests in their sequence up to the first that fails; pytest files boot what is built
        from this tree if `kernels` is set. Raises CannotRun."""
        for is_target, group in groupby(tests, key=lambda test: test.startswith("//")):
            names = list(group)
            answer = self._test(names) if is_target else self._pytest(names, kernels)
            if answer.outcome is not Outcome.PASSED:
                return answer
        return Answer(Outcome.PASSED)

    def failures(self, targets: Sequence[str]) -> list[Answer]:
        """Runs all targets, one answer for each that fails. What is built is left in the disk cache
        of the user's .bazelrc, if there is one, for other trees. Raises CannotRun."""
        status, printed = self._bazel("test", "--keep_going", *targets)
        if status == 0:
            return []
        if status == 1:
            return [_not_built(printed)]
        _expect_tests(status, targets, printed)
        names = _BAZEL_FAILURE.findall(printed) or [" ".join(targets)]
        return [Answer(Outcome.FAILED, name, printed[-_TAIL:]) for name in dict.fromkeys(names)]

    def _pytest(self, files: list[str], kernels: bool) -> Answer:
        options = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider"]
        # Sockets of tests need a short path.
        base = self.folder.with_name(self.folder.name + ".tmp")
        environment = {
            "PYTHONPATH": str(self.folder / "qemu"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(base),
        }
        if kernels:
            uefi = any(file.startswith("tests/uefi") for file in files)
            failed, printed = self._bazel("build", *_KERNELS, *(_VOLUMES if uefi else ()))
            if failed:
                return _not_built(printed)
            environment["KHORIG_BUILD"] = str(self.folder / "bazel-bin" / "kernel")
        base.mkdir(exist_ok=True)
        limit = LIMIT_S * len(files)
        status, printed = self._call(
            ["/usr/bin/python3", "-B", "-m", "pytest", *options, f"--basetemp={base}/p", *files],
            limit,
            environment,
        )
        shutil.rmtree(base, ignore_errors=True)
        tail = printed[-_TAIL:]
        if status is None:
            return Answer(Outcome.TIMED_OUT, f"{files[0]}: no end after {limit} s", tail)
        if status == 0:
            return Answer(Outcome.PASSED)
        if status == 5:
            raise CannotRun(f"no tests in {' '.join(files)}")
        found = _FIRST_FAILURE.search(printed)
        words = found[1] if found else f"{files[0]}: pytest ended with status {status}"
        return Answer(Outcome.FAILED, words, tail)

    def _test(self, targets: list[str]) -> Answer:
        status, printed = self._bazel("test", "--notest_keep_going", *targets)
        if status == 0:
            return Answer(Outcome.PASSED)
        if status == 1:
            return _not_built(printed)
        _expect_tests(status, targets, printed)
        found = _BAZEL_FAILURE.search(printed)
        case = _CASE_FAILURE.search(printed)
        words = (found[1] if found else targets[0]) + (f" {case[1]}" if case else "")
        return Answer(Outcome.FAILED, words, printed[-_TAIL:])

    def _bazel(self, verb: str, *arguments: str) -> tuple[int, str]:
        base = f"--output_base={self._bazel_base}"
        # Nobody needs again what is built with a bug.
        kept = ["--noremote_upload_local_results"] if self._is_planted else []
        command = [BAZEL, base, verb, *_OPTIONS, *kept, *arguments]
        status, printed = self._call(command, _BUILD_LIMIT_S, {})
        if status is None:
            raise CannotRun(f"bazel {verb} {' '.join(arguments)}: no end after {_BUILD_LIMIT_S} s")
        return status, printed

    def _call(
        self, command: list[str], limit: int, environment: dict[str, str]
    ) -> tuple[int | None, str]:
        """Status and output of a program; None when it takes more than `limit` seconds."""
        try:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**_inherited(), **environment},
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
            printed, _ = process.communicate(timeout=limit)
            if self._is_closed:
                raise CannotRun("interrupted")
            return process.returncode, printed
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
            command = [BAZEL, f"--output_base={self._bazel_base}", "shutdown"]
            subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
            for folder, names, _ in os.walk(self._bazel_base):
                for name in names:
                    with contextlib.suppress(OSError):
                        os.chmod(Path(folder, name), 0o700)
