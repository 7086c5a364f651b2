# SPDX-License-Identifier: BSD-3-Clause
"""When the probe is armed for a kernel that has no stops of its own, and what its stops mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Sequence

import pytest
from tiny_vmlinux import build as build_vmlinux

from khorig.guest.chain_run import ChainRun
from khorig.guest.event import EventFieldError, GuestEvent
from khorig.guest.khorig_run import KhorigRun
from khorig.mem.memory import PhysRange
from khorig.run import kernel_stops
from khorig.run.kernel_stops import KernelStops, why_no_probe, with_probe
from khorig.run.marks import marks_of
from khorig.vm.elf_file import ElfFile
from khorig.vm.machines import machine_named
from khorig.vm.probe.errors import NoProbe
from khorig.vm.probe.plugin import ProbeOptions
from khorig.vm.probe.records import ProbeStop

_Q35 = machine_named("q35")
_LINUX = "/linux"
_ENTRY = ProbeStop("fetch", 0, 0x3E7FB0B0, 0x3E7FB0B0)


class FakeProbe:
    def __init__(self) -> None:
        self.fetch: Sequence[PhysRange] = ()
        self.address: tuple[int, ...] = ()

    def check(self) -> None:
        pass

    def stop_on_fetch(self, ranges: Sequence[PhysRange]) -> None:
        self.fetch = ranges

    def stop_at(self, *addresses: int) -> None:
        self.address = addresses


def _event(kind: str, generation: int, **fields: Any) -> GuestEvent:
    return GuestEvent(kind, generation, 0, 0.0, {"ev": kind, "gen": generation, **fields})


def _stops(*kernels: str, **jumps: int) -> KernelStops:
    spec = ChainRun("x86_64", "q35", kernels=kernels, probed=True)
    return KernelStops(spec, {int(name[1:]): address for name, address in jumps.items()})


def _scratch(stops: KernelStops, generation: int = 1, name: str = "scratch") -> None:
    phys, sizes = "0x3ac00000\n0x3fc00000\n0x37800000\n", "0x3c00000\n0x0\n0x3400000\n"
    stops.on_event(_event("debugfs", generation, file=f"out/{name}_phys", text=phys))
    stops.on_event(_event("debugfs", generation, file=f"out/{name}_len", text=sizes))


_SCRATCH = (PhysRange(0x3AC00000, 0x3C00000), PhysRange(0x37800000, 0x3400000))


def _armed(stops: KernelStops, generation: int = 1) -> tuple[bool, FakeProbe]:
    probe: Any = FakeProbe()
    put_off = stops.arm(probe, _event("stop", generation, at="sealed"))
    return put_off, probe


@pytest.mark.parametrize("name", ["scratch", "bootmem"])
def test_a_linux_names_the_scratch_from_which_the_next_one_is_fetched(name: str) -> None:
    stops = _stops(_LINUX, _LINUX)
    _scratch(stops, name=name)
    put_off, probe = _armed(stops)
    assert not put_off and tuple(probe.fetch) == _SCRATCH and probe.address == ()
    entry = stops.take(_ENTRY)
    assert entry is not None and (entry.kind, entry.generation) == ("stop", 2)
    assert (entry.text("at"), entry.text("pc")) == ("entry", "0x3e7fb0b0")
    assert stops.take(_ENTRY) is None  # nobody waits for it


def test_a_crash_kernel_is_fetched_from_its_own_memory() -> None:
    stops = KernelStops(
        ChainRun("x86_64", "q35", kernels=(_LINUX, _LINUX), probed=True, crash=1), {1: 0x1234}
    )
    _scratch(stops)
    for start in ("0x2f000000", "0x100000000"):
        stops.on_event(_event("crash-memory", 1, start=start, size=0x1000000))
    put_off, probe = _armed(stops)
    assert put_off and probe.address == (0x1234,)
    assert [area.begin for area in probe.fetch] == [0x2F000000, 0x100000000]
    stops.on_event(_event("boot", 2))
    assert stops.scratch == ()


def test_khorig_names_the_segments_which_are_narrower_than_scratch() -> None:
    stops = _stops("khorig", _LINUX)
    segments = [["kernel", "0x800000", "0xf1000"], ["parameters", "0x1a0a000", "0x2000"]]
    stops.on_event(_event("segments", 1, list=segments, entry="0x800200"))
    _, probe = _armed(stops)
    assert probe.fetch == (PhysRange(0x800000, 0xF1000), PhysRange(0x1A0A000, 0x2000))


def test_khorig_stops_at_its_entry_by_itself() -> None:
    stops = _stops(_LINUX, "khorig")
    _scratch(stops)
    assert _armed(stops)[1].fetch == ()


def test_what_an_earlier_kernel_said_of_scratch_is_forgotten() -> None:
    stops = _stops(_LINUX, _LINUX, _LINUX)
    _scratch(stops)
    stops.on_event(_event("boot", 2))
    assert stops.scratch == ()


def test_the_last_kernel_and_other_stops_arm_nothing() -> None:
    stops = _stops(_LINUX, _LINUX)
    _scratch(stops, 2)
    probe: Any = FakeProbe()
    assert not stops.arm(probe, _event("stop", 1, at="restored")) and probe.fetch == ()
    assert not stops.arm(probe, _event("stop", 2, at="sealed")) and probe.fetch == ()
    assert not stops.arm(None, _event("stop", 1, at="sealed"))
    plain = KernelStops(replace(stops.spec, stops=("sealed",)), {})
    assert not plain.arm(probe, _event("stop", 1, at="sealed")) and probe.fetch == ()


@pytest.mark.parametrize("following", [_LINUX, "khorig"])
def test_a_known_machine_kexec_is_where_a_linux_is_sealed(following: str) -> None:
    stops = _stops(_LINUX, following, g1=0xFFFFFFFF81055000)
    _scratch(stops)
    put_off, probe = _armed(stops)
    assert put_off and probe.address == (0xFFFFFFFF81055000,)
    assert bool(probe.fetch) == (following == _LINUX)
    sealed = stops.take(ProbeStop("address", 1, 0xFFFFFFFF81055000, None))
    assert sealed is not None and (sealed.generation, sealed.text("at")) == (1, "sealed")
    assert sealed.text("pc") == "0xffffffff81055000" and stops.missed() == []


def test_a_linux_that_jumps_elsewhere_is_another_build() -> None:
    stops = _stops(_LINUX, _LINUX, g1=0xFFFFFFFF81055000)
    _scratch(stops)
    assert _armed(stops)[0] and stops.take(_ENTRY) is not None
    (finding,) = stops.missed()
    assert stops.on_event(_event("boot", 2)) == [finding]
    assert "without running machine_kexec at 0xffffffff81055000" in finding.what


@pytest.mark.parametrize("text", ["0x1000\nmore\n", "-1\n", "0x" + "f" * 17])
def test_scratch_that_is_no_list_of_addresses_is_an_error_of_the_guest(text: str) -> None:
    with pytest.raises(EventFieldError, match="debugfs"):
        _stops(_LINUX, _LINUX).on_event(_event("debugfs", 1, file="out/scratch_phys", text=text))


def test_only_chains_that_jump_to_a_linux_need_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ProbeOptions(Path("p.so"), reports_physical=False)
    monkeypatch.setattr(kernel_stops, "find_probe", lambda binary: found)
    chain = ChainRun("x86_64", "q35", kernels=("khorig", _LINUX))
    assert with_probe(chain, _Q35).probed
    assert not with_probe(chain, _Q35, gdb=True).probed
    assert why_no_probe(chain, _Q35, True) == "a debugger stops the CPUs"
    # A Linux before khorig is looked at where it jumps.
    assert with_probe(replace(chain, kernels=(_LINUX, "khorig")), _Q35).probed
    assert not with_probe(replace(chain, kernels=("khorig", "khorig")), _Q35).probed
    plain = KhorigRun("x86_64", "q35")
    assert with_probe(plain, _Q35) is plain and why_no_probe(plain, _Q35) == ""


def test_without_a_plugin_the_run_is_done_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(binary: str) -> ProbeOptions:
        raise NoProbe("QEMU 8.2 was built without plugins")

    monkeypatch.setattr(kernel_stops, "find_probe", find)
    chain = ChainRun("x86_64", "q35", kernels=("khorig", _LINUX))
    spec = with_probe(chain, _Q35)
    assert spec == chain and spec.stops_of(2) == ("sealed", "restored")
    assert why_no_probe(chain, _Q35) == "QEMU 8.2 was built without plugins"
    assert KernelStops(spec, {}).options is None


def test_a_measured_run_counts_at_all_marks_of_the_running_kernel() -> None:
    spec = ChainRun("x86_64", "q35", kernels=(_LINUX, _LINUX), probed=True, measured=True)
    stops = KernelStops(spec, {1: 0x30}, {1: (0x10, 0x20, 0x30), 2: (0x40,)})
    probe: Any = FakeProbe()
    stops.on_event(_event("boot", 1), probe)
    assert list(probe.address) == [0x10, 0x20, 0x30]
    probe.stop_at()  # as the probe's stop does
    assert stops.take(ProbeStop("address", 0, 0x10, None)) is None
    assert list(probe.address) == [0x10, 0x20, 0x30]
    _scratch(stops)
    assert stops.arm(probe, _event("stop", 1, at="sealed"))
    assert stops.take(ProbeStop("address", 0, 0x20, None)) is None
    sealed = stops.take(ProbeStop("address", 0, 0x30, None))
    assert sealed is not None and sealed.text("at") == "sealed"
    assert stops.take(_ENTRY) is not None
    assert list(probe.address) == [0x40]


def test_a_measured_run_has_a_probe_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(binary: str, stores: bool, fetches: bool) -> ProbeOptions:
        return ProbeOptions(Path("probe.so"), True, stores, fetches)

    monkeypatch.setattr(kernel_stops, "find_probe", find)
    spec = ChainRun("x86_64", "q35", kernels=(_LINUX, _LINUX), probed=True, measured=True)
    measured = KernelStops(spec, {}, {1: (0x10,)}).options
    plain = KernelStops(spec, {}).options
    assert measured and measured.fetches and not measured.stores
    assert plain and not plain.fetches


def test_the_marks_are_where_kernel_and_program_have_them(tmp_path: Path) -> None:
    made = []
    for name, symbols in (
        ("kernel", {"kernel_kexec": 0x1000, "kho_memory_init": 0x3000}),
        ("program", {"mark_preserve": 0x7E001410, "mark_retrieved": 0x7E001413}),
    ):
        (tmp_path / name).mkdir()
        options = (f"-Wl,--defsym={symbol}={at:#x}" for symbol, at in symbols.items())
        made.append(build_vmlinux(tmp_path / name, *options))
    kernel, program = made
    jump = ElfFile(kernel).symbol("machine_kexec")
    spec = ChainRun(
        "x86_64", "q35", kernels=(_LINUX, _LINUX), measured=True, programs=(f"{program} x",)
    )
    first = {"kernel_kexec": 0x1000, "machine_kexec": jump, "mark_preserve": 0x7E001410}
    second = {"kho_memory_init": 0x3000, "mark_retrieved": 0x7E001413}
    assert marks_of(spec, {_LINUX: kernel}) == {1: first, 2: second}
    assert marks_of(replace(spec, measured=False), {_LINUX: kernel}) == {}
    assert marks_of(replace(spec, programs=("/none",)), {}) == {1: {}, 2: {}}
