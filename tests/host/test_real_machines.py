# SPDX-License-Identifier: BSD-3-Clause
"""The engine with real QEMUs and real kernels, and with everything that can go wrong with them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest
from rig import guest_ram_held

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.guest import status as exit_status
from khorig.guest.khorig_run import KhorigRun
from khorig.rules.finding import Verdict
from khorig.run.judging import StopContext
from khorig.run.kvm_probe import probe_kvm
from khorig.vm.build_outputs import find_images
from khorig.vm.cancellation import Cancellation
from khorig.vm.command import qemu_argv
from khorig.vm.limits import Limits
from khorig.vm.machines import MACHINES, Machine, machine_named
from khorig.vm.ram_map import ask_ram_map
from khorig.vm.ram_file import assumed, ram_spec
from khorig.vm.vm import Vm

_MIB = 1 << 20
_GIB = 1 << 30
_ALL = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: str(machine.name))
_BOTH = pytest.mark.parametrize("machine", ["q35", "virt"])

# Enough for what does not depend on how much is handed over.
_SMALL: dict[str, Any] = {"memory": 64 * _MIB, "extra_options": ("megabytes=16",)}
# Hangs are found sooner; a guest that gets on shows new registers at each look however soon it is.
_SOON = Limits(silence_s=0.2, interval_s=0.02)

Runner = Callable[..., RigResult]


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    """Does one run of a machine by name."""
    return Rig(tmp_path).run


def _paused(spec: KhorigRun, folder: Path) -> Vm:
    """A machine before its first instruction."""
    machine = machine_named(spec.machine)
    images = find_images(machine)
    return Vm(machine, spec, lambda w: qemu_argv(machine, spec, images, w), folder, Cancellation())


@_ALL
@pytest.mark.parametrize("size", [128 * _MIB, 2816 * _MIB, 3072 * _MIB, 3584 * _MIB, 6 * _GIB])
def test_ram_lies_where_this_qemu_puts_it(tmp_path: Path, machine: Machine, size: int) -> None:
    spec = KhorigRun(machine.arch, machine.name, memory=size, extra_qemu=("-d", "unimp"))
    plain = ram_spec(replace(spec, extra_qemu=()))
    with _paused(spec, tmp_path) as vm:  # asked for, because who knows what `-d` does
        asked = ask_ram_map(vm.qmp, plain.backends)
        assert vm.ram.regions == asked.regions
    assert plain.is_plain and asked == assumed(machine.ram_regions(size))


@pytest.mark.parametrize(
    ("machine", "words", "regions"),
    [
        ("q35", "max-ram-below-4g=1G", [(0, _GIB, 0), (4 * _GIB, _GIB, _GIB)]),
        ("virt", "highmem=off", [(_GIB, 2 * _GIB, 0)]),
    ],
)
def test_an_option_may_move_ram(
    tmp_path: Path, machine: str, words: str, regions: list[tuple[int, int, int]]
) -> None:
    arch = machine_named(machine).arch
    spec = KhorigRun(arch, machine, memory=2 * _GIB, extra_qemu=("-machine", words))
    with _paused(spec, tmp_path) as vm:
        assert [(r.gpa, r.size, r.offset) for r in vm.ram.regions] == regions


@pytest.mark.parametrize("machine", ["q35", "pc", "virt"])
def test_nodes_lie_one_behind_the_other(tmp_path: Path, machine: str) -> None:
    arch, odd = machine_named(machine).arch, 103428 << 10
    nodes = (odd, 0, 6 * _GIB - odd)
    with _paused(KhorigRun(arch, machine, memory=6 * _GIB, numa=nodes), tmp_path) as vm:
        [*_, last] = vm.ram.regions
        assert vm.ram.regions == tuple(machine_named(machine).ram_regions(6 * _GIB))
        begin = vm.ram.regions[0].gpa
        boundary, word = begin + odd - 4, bytes.fromhex("0123456789abcdef")
        vm.ram.write(boundary, word)  # half of it is in each file
        vm.ram.write(last.end - 8, word[::-1])
        for place, stored in ((boundary, word), (last.end - 8, word[::-1])):
            said = vm.qmp.monitor(f"xp /8bx {place:#x}")
            assert bytes(int(byte, 16) for byte in re.findall(r" 0x(..)\b", said)) == stored


@_ALL
def test_a_handover_passes_and_leaves_nothing(run: Runner, machine: Machine) -> None:
    result = run(machine.name)
    assert (result.verdict, result.findings) == (Verdict.PASS, [])
    assert (result.generations, result.exit_status) == (3, 33)
    assert result.statistics.preserved_blocks >= 2000
    assert result.statistics.preserved_bytes >= 64 * _MIB
    names = {phase.name for phase in result.phases}
    assert names >= {"create", "serialize", "relocate", "early-boot", "restore", "preserve"}
    assert guest_ram_held() == set()


@_BOTH
def test_the_same_seed_is_the_same_run(run: Runner, machine: str) -> None:
    def told(result: RigResult) -> list[Any]:
        """All that the guest said, without time: how long it waits at stops depends on the host."""
        events = [r["event"] for r in result.records if r["ev"] == "guest"]
        return [
            {k: v for k, v in event.items() if k not in ("t", "ns")}
            for event in events
            if event["ev"] not in ("quiesce",)
        ]

    first, again, other = (run(machine, seed=seed, **_SMALL) for seed in (7, 7, 8))
    assert told(first) == told(again)
    assert told(first) != told(other)


@_BOTH
def test_a_panic_ends_the_machine(run: Runner, machine: str) -> None:
    result = run(machine, fault="panic-after-restore", **_SMALL)
    assert result.verdict is Verdict.CRASH
    assert result.cause.startswith("panic: ")
    assert any("backtrace" in line for line in result.findings[0].evidence)
    assert result.exit_status == exit_status.PANIC  # and was not waited for


@_BOTH
def test_a_hang_is_seen_and_says_where(run: Runner, machine: str) -> None:
    result = run(machine, fault="hang-before-jump", limits=_SOON, **_SMALL)
    assert result.verdict is Verdict.HANG
    chain = "\n".join(result.findings[0].evidence)
    # Between call and prologue the innermost caller is not on the stack yet.
    innermost = result.findings[0].evidence[0]
    assert re.search(r"arch::Pause|defects::\(anonymous namespace\)::Hang", innermost), chain
    assert "KernelMain" in chain or "Run" in chain
    assert "gen1.end.ram.zst" in os.listdir(result.directory)


_NOTE = """
.section .note, "a"
.long 4, 4, 18
.asciz "Xen"
.long _start
.text
.global _start
"""


@pytest.fixture
def boot_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a few instructions of 32-bit code the kernel that x86 machines boot."""

    def build(code: str) -> None:
        elf = tmp_path / "khorig-x86_64.elf"
        subprocess.run(
            [
                *("clang-19", "--target=i386-linux-gnu", "-nostdlib", "-static"),
                *("--ld-path=/usr/bin/ld.lld-19", "-x", "assembler", "-", "-o", str(elf)),
                "-Wl,-Ttext=0x200000",
            ],
            input=_NOTE + code,
            text=True,
            check=True,
        )
        for suffix in ("cpio", "bin"):
            (tmp_path / f"khorig-x86_64.{suffix}").write_bytes(bytes(512))
        monkeypatch.setenv("KHORIG_BUILD", str(tmp_path))

    return build


def test_a_triple_fault_is_a_crash_that_nobody_waits_for(
    run: Runner, boot_code: Callable[[str], None]
) -> None:
    boot_code("_start: lidt empty; ud2\nempty: .word 0; .long 0\n")
    result = run("microvm")
    assert result.verdict is Verdict.CRASH
    assert "triple fault" in result.cause
    ends = [r["data"]["reason"] for r in result.records if r.get("name") == "SHUTDOWN"]
    assert ends == ["guest-reset", "host-qmp-quit"]  # its registers were read in between


@pytest.mark.parametrize("code", ["_start: cli; hlt", "_start: jmp _start"])
def test_a_guest_that_stands_still_hangs(
    run: Runner, boot_code: Callable[[str], None], code: str
) -> None:
    boot_code(code + "\n")
    result = run("microvm", limits=_SOON)
    assert result.verdict is Verdict.HANG
    assert result.cause.startswith("no progress")  # and not the end of its time
    assert any("0x0000000000200" in line for line in result.findings[0].evidence)


def test_a_guest_that_counts_in_silence_does_not_hang(
    run: Runner, boot_code: Callable[[str], None]
) -> None:
    count = "_start: mov $0x8000000, %ecx\n1: dec %ecx; jnz 1b\n"
    boot_code(count + "mov $16, %al; out %al, $0xf4\n")  # status 33
    limits = replace(_SOON, looks=5)
    result = run("microvm", stops=(), generations=1, timeout_s=120.0, limits=limits)
    assert result.exit_status == 33  # after a quarter of 1e9 instructions without a word
    assert (result.folder / "qmp.jsonl").read_text().count("info registers -a") > limits.looks


@_BOTH
def test_qemu_that_is_killed_is_infra(run: Runner, machine: str, tmp_path: Path) -> None:
    def kill(context: StopContext) -> list[str]:
        log = next(tmp_path.glob("latest/handover/*/events.jsonl"))
        records = map(json.loads, log.read_text().splitlines())
        os.kill(next(r["pid"] for r in records if r["ev"] == "qemu"), signal.SIGKILL)
        return ["killed QEMU"]

    result = run(machine, hooks=[kill])
    assert result.verdict is Verdict.INFRA
    assert result.cause == "QEMU was killed by SIGKILL (perhaps by the OOM killer, see dmesg)"
    assert result.records[-1]["ev"] == "verdict"


@_BOTH
def test_a_device_that_qemu_lacks_is_infra_in_its_words(run: Runner, machine: str) -> None:
    result = run(machine, extra_qemu=("-device", "no-such-device"))
    assert result.verdict is Verdict.INFRA
    assert "'no-such-device' is not a valid device model name" in result.cause


@_ALL
def test_too_little_ram_is_said_by_the_kernel(run: Runner, machine: Machine) -> None:
    assert run(machine.name, memory=16 * _MIB, expected_status=39).verdict is Verdict.PASS
    result = run(machine.name, memory=16 * _MIB, record=True)
    assert (result.verdict, result.exit_status) == (Verdict.FAIL, 39)
    assert "16 MiB" in result.cause or "15 MiB" in result.cause or "14 MiB" in result.cause
    assert result.recorded == ""


@_BOTH
def test_an_option_nobody_knows_is_said_by_the_kernel(run: Runner, machine: str) -> None:
    result = run(machine, extra_options=("bogus=1",))
    assert (result.verdict, result.exit_status) == (Verdict.FAIL, 41)
    assert "bogus=1" in result.cause


@_BOTH
def test_guest_ram_can_be_kept_at_every_stop(run: Runner, machine: str) -> None:
    result = run(machine, generations=2, memory=64 * _MIB, keep=True)
    assert result.verdict is Verdict.PASS
    images = sorted(path.name for path in Path(result.directory).glob("*.ram.zst"))
    assert images == [
        "gen1.entry.ram.zst", "gen1.sealed.ram.zst", "gen2.end.ram.zst", "gen2.entry.ram.zst",
        "gen2.restored.ram.zst",
    ]  # fmt: skip
    folder = Path(result.directory)
    sidecar = json.loads((folder / "gen1.sealed.json").read_text())
    region = machine_named(machine).ram_regions(64 * _MIB)[0]
    assert sidecar["ram_map"] == [[hex(region.gpa), hex(region.size), hex(region.offset)]]
    raw = subprocess.run(
        ["zstd", "-dcq", folder / "gen1.sealed.ram.zst"], capture_output=True, check=True
    ).stdout
    root = int(sidecar["root"], 16) - region.gpa + region.offset
    assert raw[root : root + 4].hex() == "d00dfeed"  # the root is a flattened device tree


@_BOTH
def test_the_kernel_runs_without_the_rig_too(run: Runner, machine: str) -> None:
    result = run(machine)
    script = (Path(result.directory) / "rerun.sh").read_text()
    command = next(line[2:] for line in script.splitlines() if line.startswith("# qemu-system"))
    alone = subprocess.run(
        shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert alone.returncode == 33
    assert b'"ev":"done"' in alone.stdout


def test_kvm_runs_a_guest_or_it_is_named_why_not() -> None:
    assert re.fullmatch("|.*kvm.*", probe_kvm(), re.IGNORECASE)


def _khorig(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "khorig", *words], capture_output=True, text=True, timeout=120
    )


def test_the_command_line_damages_a_handover(tmp_path: Path) -> None:
    words = ("run", "--machine", "q35", "--out", str(tmp_path), "--tamper", "magic")
    done = _khorig(*words, "--scenario", "refuse")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS  x86_64/q35      refuse[magic]" in done.stdout
    wrong = _khorig(*words, "--scenario", "handover")
    assert wrong.returncode == 2
    assert "does not expect a refusal" in wrong.stderr


def test_the_kernels_list_their_scenarios() -> None:
    done = _khorig("list")
    assert done.returncode == 0
    for name in ("handover", "recursion", "chain", "churn", "refuse"):
        assert f"\n  {name} " in done.stdout
