# SPDX-License-Identifier: BSD-3-Clause
"""Pages that a Linux found to be bad come back in the next kernel (N7)."""

from __future__ import annotations

from pathlib import Path

import pytest

import khorig.linux
from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.linux.archive import write_archive
from khorig.linux.user_space import compile_static
from khorig.pytest_plugin import built_peer, each_arch
from khorig.rules.finding import Verdict
from khorig.rules.temporal.definitions import POISON
from khorig.vm.machines import machine_named

LINUX = "linux-7.3"
_INIT = Path(khorig.linux.__file__).parent / "init"


@pytest.fixture
def program(machine: str, tmp_path: Path) -> str:
    """An initramfs with a program that reports pages as bad."""
    arch = machine_named(machine).arch
    peer, path = built_peer(arch, LINUX), tmp_path / "poison.cpio"
    if "CONFIG_HWPOISON_INJECT=y" not in (peer.directory / "config").read_text():
        pytest.skip(f"the peer {peer.pinned} is built without HWPOISON_INJECT")
    source = Path(__file__).parent / "poison.c"
    content = compile_static(peer, [source], [_INIT, _INIT / "arch" / arch], source.name)
    write_archive(path, {"poison": content}, ())
    return str(path)


def bad_page(result: RigResult) -> str:
    """How the page is used that the Linux has named, by the verdict on that Linux."""
    assert result.verdict is Verdict.FAIL
    found = result.findings[0]
    assert (found.rule, found.generation, found.stop) == (POISON, 1, "sealed"), found
    console = (result.folder / "console.log").read_text(errors="replace")
    frame = int(console.partition("Memory failure: ")[2].partition(":")[0], 16)
    assert found.where == f"{frame << 12:#018x}"
    assert f"page {found.where} was reported bad by generation 1 and " in found.what
    return found.what.partition(" and ")[2]


@pytest.mark.parametrize("when", ["before", "after"])
@each_arch
def test_a_bad_page_of_a_memfd_is_handed_over(
    rig: Rig, machine: str, program: str, when: str
) -> None:
    """Neither is one refused that is bad before it is preserved, nor one taken out afterwards."""
    programs = (f"1:/poison memfd {when}",)
    result = rig.run(machine, kernels=(LINUX,) * 2, extra_initrd=program, programs=programs)
    assert bad_page(result) == "is preserved"
    assert result.findings[0].owner == "LUO/poison/0x1 folio 5 (order 0) page 0"


@each_arch
def test_a_bad_page_stays_in_scratch(rig: Rig, machine: str, program: str) -> None:
    """Where the next kernel's segments and its first allocations go."""
    programs = ("1:/poison scratch",)
    result = rig.run(machine, kernels=(LINUX, "khorig"), extra_initrd=program, programs=programs)
    assert bad_page(result) == "is part of scratch area 0"
