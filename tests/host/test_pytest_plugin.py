# SPDX-License-Identifier: BSD-3-Clause
"""khorig.pytest_plugin, with no kernel to run: every run ends before QEMU starts."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import khorig

_PACKAGES = str(Path(khorig.__file__).parents[1])
_HEAD = "from khorig.pytest_plugin import each_arch\n\n"
_PASSES = "def test_it(rig):\n    assert rig.run('q35').verdict.value == 'INFRA'\n"
_EXPECTS = "@each_arch\ndef test_it(rig, machine):\n    rig.run(machine).expect_pass()\n"
_ASSERTS = "def test_it(rig):\n    assert rig.run('q35').generations == 3\n"
_CHAIN = "def test_it(rig):\n    rig.run('q35', kernels=['linux-7.3', 'khorig'])\n"


class Outside:
    """A folder outside of the tree with one file of tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = folder / "base"

    def test(self, text: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Runs it with pytest."""
        (self.folder / "test_it.py").write_text(_HEAD + text)
        command = [sys.executable, "-m", "pytest", "-p", "khorig.pytest_plugin"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        environment.pop("TEST_UNDECLARED_OUTPUTS_DIR", None)
        return subprocess.run(
            [*command, "-p", "no:cacheprovider", f"--basetemp={self.base}", *options, "test_it.py"],
            cwd=self.folder,
            env={**environment, "KHORIG_BUILD": str(self.folder), "PYTHONPATH": _PACKAGES},
            capture_output=True,
            text=True,
        )

    @property
    def kept(self) -> list[str]:
        """The names of the folders that tests have left."""
        folders = (path.parent for path in self.base.glob("*/khorig"))
        return sorted(folder.name for folder in folders if not folder.is_symlink())


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """A folder without kernels."""
    return Outside(tmp_path)


def test_a_run_that_fails_is_reported_and_kept(outside: Outside) -> None:
    done = outside.test(_EXPECTS)
    assert done.returncode == 1, done.stdout + done.stderr
    for name in ("khorig-x86_64.elf", "khorig-arm64.bin"):
        assert f"{name} is not built" in done.stdout
    assert "looked in " in done.stdout and "scripts/khorig run --machine virt" in done.stdout
    assert "NotPassed: INFRA " in done.stdout and "- khorig -" not in done.stdout
    assert outside.kept == ["test_it_q35_0", "test_it_virt_0"]


def test_any_failure_shows_the_last_run(outside: Outside) -> None:
    done = outside.test(_ASSERTS)
    assert done.returncode == 1 and "- khorig -" in done.stdout
    assert "khorig-x86_64.elf is not built" in done.stdout.partition("- khorig -")[2]


def test_what_passes_leaves_nothing(outside: Outside) -> None:
    assert outside.test(_PASSES).returncode == 0
    assert outside.kept == []


def test_a_folder_that_is_named_keeps_everything(outside: Outside) -> None:
    assert outside.test(_PASSES, "--khorig-out=out").returncode == 0
    assert (outside.folder / "out" / "test_it" / "latest" / "results.json").exists()


def test_the_kernels_of_a_folder_are_used(outside: Outside) -> None:
    done = outside.test(_EXPECTS, "--khorig-build=elsewhere")
    assert f"looked in {outside.folder}/elsewhere" in done.stdout


def test_a_linux_that_is_not_built_skips(outside: Outside) -> None:
    done = outside.test(_CHAIN, "-rs")
    assert done.returncode == 0 and "1 skipped" in done.stdout
    assert "fix: scripts/khorig linux build --version 7.3 --arch x86_64" in done.stdout


def test_the_package_names_what_is_there() -> None:
    project = tomllib.loads(Path(_PACKAGES, "..", "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["pytest11"]
    # The name of the module: named by a conftest.py as well, it is loaded once.
    assert points == {"khorig.pytest_plugin": "khorig.pytest_plugin"}
    module, _, function = project["scripts"]["khorig"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert importlib.import_module(points["khorig.pytest_plugin"]).PytestRig
