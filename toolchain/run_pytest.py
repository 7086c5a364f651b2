# SPDX-License-Identifier: BSD-3-Clause
"""Runs pytest inside a Bazel test: the files given as arguments, at the root of the runfiles.

The environment is Bazel's test encyclopedia's: XML_OUTPUT_FILE gets the JUnit report,
TESTBRIDGE_TEST_ONLY is the filter.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import pytest


def terminate(number: int, _frame: FrameType | None) -> None:
    """Makes a timeout unwind, so that fixtures end what they started."""
    sys.exit(128 + number)


def remove_links(folder: str | None) -> None:
    """Removes symbolic links: Bazel's zip would store what they point to once more."""
    if folder:
        for path in Path(folder).rglob("*"):
            if path.is_symlink():
                path.unlink()


def keep_examples(files: list[str]) -> None:
    """Hypothesis draws the same examples in every run here, and a busy machine may take its time:
    what is red is red again. pytest by itself draws new ones."""
    paths = map(Path, files)  # and pytest's options
    if not any("hypothesis" in path.read_text() for path in paths if path.is_file()):
        return  # it takes 60 ms to import
    from hypothesis import settings

    settings.register_profile("bazel", deadline=None, derandomize=True, database=None)
    settings.load_profile("bazel")


def main(files: list[str]) -> int:
    """Returns pytest's exit status."""
    os.environ["PYTHONPATH"] = os.path.abspath("qemu")
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.environ["PYTHONPATH"])
    signal.signal(signal.SIGTERM, terminate)
    keep_examples(files)
    options = ["-p", "no:cacheprovider"]
    if "XML_OUTPUT_FILE" in os.environ:
        options.append(f"--junitxml={os.environ['XML_OUTPUT_FILE']}")
    if "TESTBRIDGE_TEST_ONLY" in os.environ:
        options += ["-k", os.environ["TESTBRIDGE_TEST_ONLY"]]
    # TEST_TMPDIR is too long for the path of a socket.
    with tempfile.TemporaryDirectory(prefix="khorig.", dir="/tmp") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        status = int(pytest.main([*options, f"--basetemp={folder}/pytest", *files]))
    remove_links(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR"))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
