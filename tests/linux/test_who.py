# SPDX-License-Identifier: BSD-3-Clause
"""Who changed a page of a Linux, which has it at another address in every run."""

from __future__ import annotations

from pathlib import Path

import pytest

import khorig
from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.guest.poke import Poke
from khorig.linux.archive import write_archive
from khorig.linux.user_space import compile_static
from khorig.pytest_plugin import built_peer, each_arch
from khorig.rules.finding import Verdict
from khorig.rules.temporal import definitions as temporal
from khorig.run.who import Who
from khorig.vm.machines import machine_named

_INIT = Path(khorig.__file__).parent / "linux" / "init"
_LINUX = "linux-7.3"


def _who(result: RigResult, rule: str) -> Who:
    assert result.verdict is Verdict.FAIL and result.findings[0].rule == rule, result.findings
    assert result.recorded.startswith("reproduced"), result.recorded
    assert result.who is not None
    return result.who


@each_arch
@pytest.mark.parametrize("owner", ["LUO sessions", "memblock/reference", "kho_test folio"])
def test_a_poke_is_found_wherever_the_page_is(rig: Rig, machine: str, owner: str) -> None:
    kernels = (_LINUX, "khorig", _LINUX)
    poke = Poke(1, "sealed", owner, 0x20)
    result = rig.run(machine, kernels=kernels, pokes=(poke,), record=True)
    who = _who(result, temporal.PAGES_ACROSS_JUMP)
    assert (who.count, who.nobody, who.note) == (0, (), ""), who
    (line,) = who.rig
    place = f"{int(who.pages[0], 16) + 0x20:#018x}"
    assert line.startswith(f"poke at sealed in generation 1: {place}: "), who
    moved = who.pages[0] != result.findings[0].where
    assert [page.found for page in who.others] == [True] * moved, who


@each_arch
@pytest.mark.parametrize("how", ["store", "write"])
def test_a_program_that_goes_on_writing_is_named(
    rig: Rig, machine: str, tmp_path: Path, how: str
) -> None:
    """By stores to /dev/mem, and by system calls: then a function of the kernel stores."""
    result = rig.run(
        machine,
        kernels=(_LINUX, _LINUX),
        programs=(f"1:/writer reference {how}",),
        extra_initrd=str(_archive(machine, tmp_path)),
        record=True,
    )
    who = _who(result, temporal.PAGES_HANDED_ON)
    assert result.findings[0].owner == "memblock/reference page 0"
    assert who.count and not who.rig and not who.nobody and not who.note, who
    assert {store.generation for store in who.stores} == {1}, who
    assert {int(store.address, 16) for store in who.stores} == {int(who.pages[0], 16) + 0x40}, who
    symbols = {store.symbol for store in who.stores}
    if how == "store":
        assert symbols == {"user space"}, symbols
    else:
        function = {"q35": "rep_movs_alternative", "virt": "__arch_copy_from_user"}[machine]
        assert {symbol.partition("+")[0] for symbol in symbols} == {function}, symbols


def _archive(machine: str, folder: Path) -> Path:
    arch = machine_named(machine).arch
    peer, path = built_peer(arch, _LINUX), folder / "writer.cpio"
    source = Path(__file__).parent / "writer.c"
    program = compile_static(peer, [source], [_INIT, _INIT / "arch" / arch], source.name)
    write_archive(path, {"writer": program}, ())
    return path
