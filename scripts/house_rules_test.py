# SPDX-License-Identifier: BSD-3-Clause
"""Every rule is broken once."""

from __future__ import annotations

from pathlib import Path

import pytest

import house_rules

LICENSE = "SPDX-License-Identifier: BSD-3-Clause"


@pytest.mark.parametrize(
    ("name", "text", "breach"),
    [
        ("a.cc", f"// {LICENSE}\nint x;\n", None),
        ("a.cc", "int x;\n", "a.cc:1: starts with"),
        ("a.cc", "", "a.cc:1: starts with"),
        ("script", f"#!/bin/sh\n# {LICENSE}\n", None),
        ("script", "#!/bin/sh\n:\n", "script:2: starts with"),
        ("words.md", "no license\n", None),
        ("a.h", f"// {LICENSE}\n#pragma once\n", None),
        ("a.h", f"// {LICENSE}\nint x;\n", "a.h:2: a header says"),
        ("a.py", f"# {LICENSE}\n" + "x = 1\n" * 399, None),
        ("a.py", f"# {LICENSE}\n" + "x = 1\n" * 400, "a.py:401: has at most 400 lines, not 401"),
        ("kernel/rig/a.cc", f"// {LICENSE}\n#ifdef __x86_64__\n", "kernel/rig/a.cc:2: asks for"),
        ("kernel/arch/host/a.cc", f"// {LICENSE}\n#ifdef __x86_64__\n", None),
        ("boot/pvh/a.cc", f"// {LICENSE}\n#ifdef __aarch64__\n", None),
        ("kernel/base/a.cc", f'// {LICENSE}\n#include "khocore/types.h"\n', None),
        (
            "kernel/base/a.cc",
            f'// {LICENSE}\n#include "kernel/arch/cpu.h"\n',
            "kernel/base/a.cc:2: base includes kernel/arch/cpu.h, which is above it",
        ),
        (
            "khocore/a.cc",
            f'// {LICENSE}\n#include "kernel/base/format.h"\n',
            "khocore/a.cc:2: khocore includes kernel/base/format.h",
        ),
        (
            "kernel/scenarios/a.cc",
            f'// {LICENSE}\n#include "boot/efi/machine.h"\n',
            "kernel/scenarios/a.cc:2: scenarios includes boot/efi/machine.h",
        ),
        (
            "kernel/rig/a.cc",
            f"// {LICENSE}\nnamespace handover {{\n",
            "kernel/rig/a.cc:2: rig declares something of handover",
        ),
        ("kernel/cpus/a.cc", f"// {LICENSE}\nnamespace base {{\n", None),
        (
            "kernel/cpus/a_test.cc",
            f'// {LICENSE}\n#include "kernel/handover/testing/test_kernel.h"\n',
            None,
        ),
        (
            "kernel/cpus/a.cc",
            f'// {LICENSE}\n#include "kernel/handover/testing/test_kernel.h"\n',
            "kernel/cpus/a.cc:2: cpus includes kernel/handover/testing/test_kernel.h, which is",
        ),
        (
            "kernel/cpus/a_test.cc",
            f'// {LICENSE}\n#include "kernel/handover/course.h"\n',
            "kernel/cpus/a_test.cc:2: cpus includes kernel/handover/course.h, which is above it",
        ),
        (
            "kernel/kexec/a_test.cc",
            f'// {LICENSE}\n#include "kernel/arch/arm64/machine.h"\n',
            "kernel/kexec/a_test.cc:2: includes kernel/arch/arm64/machine.h, but is not of arm64",
        ),
        (
            "kernel/arch/arm64/a.cc",
            f'// {LICENSE}\n#include "kernel/arch/x86_64/io.h"\n',
            "kernel/arch/arm64/a.cc:2: includes kernel/arch/x86_64/io.h, but is not of x86_64",
        ),
        ("boot/pvh/x86_64/a.cc", f'// {LICENSE}\n#include "kernel/arch/x86_64/io.h"\n', None),
        ("kernel/attic/a.cc", f"// {LICENSE}\n", "kernel/attic/a.cc:1: kernel/attic is no room"),
        ("a.py", f"# {LICENSE}\n# TO" "DO: more\n", "a.py:2: is not finished"),
    ],
)
def test_rule(
    name: str,
    text: str,
    breach: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    assert house_rules.main([name]) == (0 if breach is None else 1)
    output = capsys.readouterr().out
    assert output == "" if breach is None else output.startswith(breach)


@pytest.mark.parametrize(
    ("build", "is_run"),
    [
        ('["test_a.py"]', True),
        ('["a"]', True),
        ('glob(["test_*.py"])', True),
        ('["test_ab"]', False),
    ],
)
def test_a_test_that_nothing_runs(
    build: str, is_run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("BUILD").write_text(f"# {LICENSE}\nsrcs = {build}\n")
    Path("test_a.py").write_text(f"# {LICENSE}\n")
    assert house_rules.main(["test_a.py"]) == (0 if is_run else 1)
