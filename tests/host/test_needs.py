# SPDX-License-Identifier: BSD-3-Clause
"""What a scenario needs of its machine is added, or the run refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_kernel import build_elf

from khorig.guest.khorig_run import KhorigRun
from khorig.mem.untrusted import Untrusted
from khorig.run.needs import Needs, UnmetNeed, parse_needs, with_needs
from khorig.run.scenarios import read_scenarios
from khorig.run.spec_check import check_spec
from khorig.vm.errors import InfraError
from khorig.vm.needed_devices import device_arguments

EDU = ["-device", "edu,dma_mask=0xffffffff"]


def test_words_are_parsed() -> None:
    assert parse_needs("") == Needs()
    assert parse_needs("smp=2 device=edu") == Needs(2, ("edu",))
    assert str(parse_needs("device=edu smp=4")) == "smp=4 device=edu"
    assert str(Needs()) == ""


@pytest.mark.parametrize("word", ["smp", "smp=0", "smp=-1", "smp=x", "smp=²", "device=", "ram=1"])
def test_any_other_word_is_an_error(word: str) -> None:
    with pytest.raises(ValueError, match="a scenario needs"):
        parse_needs(f"device=edu {word}")


def test_needs_are_read_from_the_kernel(tmp_path: Path) -> None:
    elf = tmp_path / "k.elf"
    build_elf(elf, {"live": "x"}, needs="smp=2 device=edu")
    assert [scenario.needs for scenario in read_scenarios(elf)] == [Needs(2, ("edu",))]
    build_elf(elf, {"live": "x"}, needs="luck")
    with pytest.raises(InfraError, match="a scenario needs 'luck'"):
        read_scenarios(elf)


def test_a_machine_gets_the_devices_or_is_refused() -> None:
    run = KhorigRun("x86_64", "q35", scenario="live", smp=2)
    assert with_needs(run, Needs(2, ("edu",))).devices == ("edu",)
    assert with_needs(run, Needs()) == run
    with pytest.raises(UnmetNeed, match="scenario 'live' needs 4 CPUs: --smp 4"):
        with_needs(run, Needs(4))
    with pytest.raises(UnmetNeed, match="scenario 'live' needs edu, and microvm has no PCI"):
        with_needs(KhorigRun("x86_64", "microvm", scenario="live"), Needs(1, ("edu",)))


def test_a_device_is_added_once() -> None:
    assert device_arguments(("edu",), ()) == EDU
    assert device_arguments(("edu",), ("-device", "edu,dma_mask=1")) == []
    assert device_arguments(("edu",), ("--device", "edu")) == []
    assert device_arguments(("edu",), ("-device", "education", "-name", "edu")) == EDU
    assert device_arguments((), ()) == []


def test_a_specification_names_known_devices_only() -> None:
    check_spec(KhorigRun("x86_64", "q35", devices=("edu",)))
    with pytest.raises(Untrusted, match="'devices': .*'disk'.*, expected one of edu"):
        check_spec(KhorigRun("x86_64", "q35", devices=("disk",)))
