# SPDX-License-Identifier: BSD-3-Clause
"""Mutants of a tree of three files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIST = """\
tests = ["test_limit.py"]

[[mutant]]
id = "off-by-one"
file = "limit.py"
text = "value <= 3"
becomes = "value < 3"
bug = "the limit itself is refused"

[[mutant]]
id = "negative"
file = "limit.py"
text = "0 <= "
becomes = "-1 <= "
bug = "one below zero is taken"
"""
CODE = "def fits(value):\n    return 0 <= value <= 3  # both inside\n"
TEST = "from limit import fits\n\ndef test_limit():\n    assert fits(3) and not fits(4)\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Scripts, and code with one test."""
    (tmp_path / "scripts").mkdir()
    for name in ("mutants.py", "mutant_list.py", "scratch_tree.py"):
        content = Path("scripts", name).read_bytes()
        (tmp_path / "scripts" / name).write_bytes(content)
    (tmp_path / "tests" / "mutants").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    (tmp_path / "limit.py").write_text(CODE)
    (tmp_path / "test_limit.py").write_text(TEST)
    write_list(tmp_path, LIST)
    return tmp_path


def write_list(tree: Path, content: str) -> None:
    (tree / "tests" / "mutants" / "room.toml").write_text(content)


def mutants(tree: Path, *arguments: str) -> tuple[int, list[str]]:
    """Exit status and lines."""
    command = [sys.executable, "-B", str(tree / "scripts" / "mutants.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def test_survivors_are_named_and_below_the_goal_it_fails(tree: Path) -> None:
    status, lines = mutants(tree)
    assert status == 1
    assert lines[-4:-2] + lines[-1:] == [
        "survived room/negative (limit.py): one below zero is taken",
        "    no reason in the list",
        "kernel: noticed 1 of 2 mutants, 50.0%; the goal is 95%",
    ]
    assert lines[-2].startswith("room                    1 of   2 noticed, ")
    (noticed,) = [line for line in lines if "  noticed   room/off-by-one  " in line]
    assert noticed.endswith("by test_limit.py::test_limit")
    assert (tree / "limit.py").read_text() == CODE, "the tree itself was changed"


def test_the_goal_is_reached_by_what_a_filter_leaves(tree: Path) -> None:
    status, lines = mutants(tree, "off-by")
    assert (status, lines[-1]) == (0, "kernel: noticed 1 of 1 mutants, 100.0%; the goal is 95%")
    assert mutants(tree, "--of", "roo") == (4, ["mutants: none matches"])
    assert len(mutants(tree, "--of", "room", "--list")[1]) == 2
    assert mutants(tree, "no-such") == (4, ["mutants: none matches"])
    assert mutants(tree, "--list", "limit.py")[1][1].startswith("room/negative  limit.py: ")


def test_one_test_of_a_file_may_be_named(tree: Path) -> None:
    (tree / "test_limit.py").write_text(TEST + "\ndef test_low():\n    assert not fits(-1)\n")
    write_list(tree, LIST.replace('"test_limit.py"', '"test_limit.py::test_low"'))
    status, lines = mutants(tree)
    assert (status, lines[-1]) == (1, "kernel: noticed 1 of 2 mutants, 50.0%; the goal is 95%")
    assert lines[-4].startswith("survived room/off-by-one ")


def test_a_reason_is_printed_and_must_hold(tree: Path) -> None:
    write_list(tree, LIST + 'survives = "nobody counts below zero"\n')
    assert mutants(tree, "--survivors")[1][-3] == "    nobody counts below zero"
    write_list(tree, LIST.replace('bug = "the', 'survives = "what"\nbug = "the'))
    assert "noticed room/off-by-one, which the list expects to survive" in mutants(tree)[1]


def test_tests_that_fail_without_a_bug_notice_nothing(tree: Path) -> None:
    (tree / "test_limit.py").write_text(TEST + "    assert fits(-1)\n")
    status, lines = mutants(tree)
    assert status == 1
    assert lines[1] == "fails without a bug: test_limit.py::test_limit"
    assert not any(line.startswith("noticed") for line in lines)


def test_tests_that_do_not_end_notice(tree: Path) -> None:
    scratch = tree / "scripts" / "scratch_tree.py"
    scratch.write_text(scratch.read_text().replace("LIMIT_S = 300", "LIMIT_S = 5"))
    (tree / "test_limit.py").write_text(TEST + "    while fits(-1):\n        pass\n")
    assert any(line.endswith("by test_limit.py: no end after 5 s") for line in mutants(tree)[1])


# In place of Bazel: it fails as the code has it, and remembers how it was called.
BAZEL = """\
#!/bin/sh
shift  # --output_base
echo "$@" >>CALLS
case "$1 $(cat limit.cc)" in
  build*refused* | test*refused*) echo "limit.cc:1:9: error: expected ';'"; exit 1 ;;
  test*asserted*) echo "limit.h:7:1: error: static assertion failed due to 'kLimit'"; exit 1 ;;
  test*wrong*) printf '[  FAILED  ] Limit.Holds (1 ms)\n//:limit_test  FAILED in 0.1s\n'; exit 3 ;;
esac
"""
BUILT_LIST = """\
tests = ["//:limit_test"]

[[mutant]]
id = "one"
file = "limit.cc"
text = "return 3;"
becomes = "return wrong;"
bug = "another limit"
"""


@pytest.fixture
def built(tree: Path) -> Path:
    """The tree with a target."""
    bazel = tree / "bazel"
    bazel.write_text(BAZEL.replace("CALLS", str(tree / "calls")))
    bazel.chmod(0o755)
    scratch = tree / "scripts" / "scratch_tree.py"
    scratch.write_text(scratch.read_text().replace("/usr/bin/bazel", str(bazel)))
    (tree / "BUILD").write_text("")
    (tree / "limit.cc").write_text("return 3;  // limit\n")
    write_list(tree, BUILT_LIST)
    return tree


def test_a_target_that_fails_notices(built: Path) -> None:
    status, lines = mutants(built)
    assert (status, lines[-1]) == (0, "kernel: noticed 1 of 1 mutants, 100.0%; the goal is 95%")
    assert lines[1].endswith("  by //:limit_test Limit.Holds")
    clean, planted, *_ = (built / "calls").read_text().splitlines()
    assert "--keep_going" in clean and "--noremote_upload_local_results" not in clean
    assert "--notest_keep_going" in planted and "--noremote_upload_local_results" in planted


def test_what_the_compiler_refuses_is_an_error_of_the_list(built: Path) -> None:
    write_list(built, BUILT_LIST.replace("wrong", "refused"))
    status, lines = mutants(built)
    assert status == 1
    assert lines[-1] == "invalid room/one (limit.cc): limit.cc:1:9: error: expected ';'"


def test_what_the_code_asserts_notices_while_it_is_built(built: Path) -> None:
    write_list(built, BUILT_LIST.replace("wrong", "asserted"))
    status, lines = mutants(built)
    assert (status, lines[-1]) == (0, "kernel: noticed 1 of 1 mutants, 100.0%; the goal is 95%")
    assert lines[1].endswith("  by static assertion failed due to 'kLimit'")


def test_a_target_that_passes_does_not_notice(built: Path) -> None:
    write_list(built, BUILT_LIST.replace("wrong", "4"))
    status, lines = mutants(built)
    assert (status, lines[-1]) == (1, "kernel: noticed 0 of 1 mutants, 0.0%; the goal is 95%")


def test_pytest_files_boot_what_is_built_with_the_bug(built: Path) -> None:
    (built / "test_limit.py").write_text(
        "import os, pathlib\n\ndef test_kernel():\n"
        "    assert os.environ['KHORIG_BUILD'].endswith('/bazel-bin/kernel')\n"
        "    assert 'wrong' not in pathlib.Path('limit.cc').read_text()\n"
    )
    write_list(built, BUILT_LIST.replace("//:limit_test", "test_limit.py"))
    status, lines = mutants(built)
    assert status == 0
    assert lines[1].endswith("  by test_limit.py::test_kernel")
    calls = (built / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls if "shutdown" not in call] == ["build", "build"]
    assert all("//kernel:khorig-arm64-archive" in call for call in calls if "build" in call)


ENTRY_FAULTS = {
    "gone": ("value <= 3", "value <= 4", "its text is 0 times in limit.py, expected once"),
    "ambiguous": ("value <= 3", "value", "its text is 2 times in limit.py, expected once"),
    "no Python": ("value < 3", "value <", "limit.py is no Python with it"),
    "a comment": ("value <= 3", "both inside", "it changes no code of limit.py"),
    "nothing": ("value < 3", "value <= 3", "it changes nothing"),
    "no file": ("limit.py", "limits.py", "limits.py cannot be read"),
    "no test": ("test_limit.py", "test_limits.py", "the test test_limits.py does not exist"),
    "no such file": ("test_limit.py", "test_x.py::test_limit", "test_x.py::test_limit does not"),
    "no such package": ('"test_limit.py"', '"//no/such:test"', "the test //no/such:test does not"),
    "a name twice": ('"negative"', '"off-by-one"', "2 mutants have this name"),
    "no bug": ("bug =", "bugs =", "has no 'bug'"),
    "unknown key": ('tests = ["test_limit.py"]', "test = 1", "unknown key 'test'"),
    "no text": ('"value <= 3"', "3", "'text' is not a text"),
}


@pytest.mark.parametrize("old,new,message", ENTRY_FAULTS.values(), ids=list(ENTRY_FAULTS))
def test_an_entry_that_does_not_fit_is_an_error(
    tree: Path, old: str, new: str, message: str
) -> None:
    write_list(tree, LIST.replace(old, new))
    status, lines = mutants(tree)
    assert status == 1
    assert any(message in line for line in lines), lines
