# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of Linux that the rig shows. A test that fails says that the bug is mended.

The ids are those of the catalogue of Kexec HandOver bugs that the rig was planned with; what Linux
takes without a word is in khorig.linux.refusals, and docs/linux-bugs.md has the list.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from khorig.api.rig import Rig
from khorig.api.rig_result import RigResult
from khorig.linux.archive import write_archive
from khorig.linux.refusals import DamageHook, LinuxDamage
from khorig.linux.user_space import compile_static
from khorig.pytest_plugin import built_peer, each_arch
from khorig.mem.memory import RamMemory
from khorig.rules.finding import Verdict
from khorig.run.judging import StopContext
from khorig.run.tamper.target import Target
from khorig.vm.build_outputs import find_elf

_SAMPLE = 64  # bytes of an image that no other file has

# Not among the peers that are built when nobody asks; tests that need it are skipped without it.
DMA_CMA = "linux-7.3@DMA_CMA"
PAGES_16K = "linux-7.3@ARM64_16K_PAGES"


def kernel_log(result: RigResult, generation: int) -> list[str]:
    """The lines of a Linux's log that are about the handover."""
    return [event["text"] for event in result.events("kernel-log", generation)]


@pytest.mark.parametrize(
    ("machine", "linux"), [("q35", "linux-7.3"), ("virt", "linux-7.3"), ("virt", "linux-7.2")]
)
def test_g1_a_late_reserve_mem_lies_in_scratch(rig: Rig, machine: str, linux: str) -> None:
    """On a boot with a handover memblock hands out scratch alone. A reserve_mem= that is new then
    lies there, cannot be preserved, and takes every older reservation down with it."""
    late = "reserve_mem=4M:4096:late"
    result = rig.run(machine, kernels=(linux,) * 3, linux_options=(f"2:{late}", f"3:{late}"))
    assert result.verdict is Verdict.CRASH  # KEXEC_HANDOVER_DEBUG warns, which ends a run
    assert "WARNING" in result.cause and "kho_preserve_pages" in result.cause
    assert result.findings[0].generation == 2


@each_arch
def test_a9_a_handover_is_taken_though_kho_is_off(rig: Rig, machine: str) -> None:
    """kho=off keeps Linux from handing over, not from taking over: the chain ends there."""
    result = rig.run(
        machine,
        kernels=("khorig", "linux-7.3"),
        linux_options=("2:kho=off",),
        expected_refusals={2: "disabled"},
    )
    result.expect_pass()
    log = kernel_log(result, 2)
    assert "KHO: found kexec handover data." in log
    assert "Revived memory reservation 'reference' from KHO" in log


def anchor_beyond_ram(target: Target) -> str:
    """An anchor that no memory is behind."""
    target.ram.write(target.handoff.root.address, target.handoff.root.encode(target.end_of_ram))
    return f"root address set to {target.end_of_ram:#018x}, beyond RAM"


def test_a10_an_anchor_beyond_ram_ends_linux_before_its_console(rig: Rig) -> None:
    """Linux maps what the anchor says and reads it, before it has a console."""
    hook = DamageHook(LinuxDamage("anchor-beyond-ram", "", anchor_beyond_ram))
    result = rig.run("virt", kernels=("khorig", "linux-7.3"), hooks=(hook,), timeout_s=45.0)
    assert result.verdict in (Verdict.HANG, Verdict.CRASH)
    assert result.generations == 1, "the second kernel had no first words"


@each_arch
def test_r18_the_tail_of_an_odd_reserve_mem_is_not_preserved(rig: Rig, machine: str) -> None:
    """Linux preserves as many whole pages as the size has: of 6 KiB the last 2 are lost."""
    result = rig.run(
        machine, kernels=("linux-7.3", "khorig"), linux_options=("reserve_mem=6K:4096:odd",)
    )
    assert result.verdict is Verdict.FAIL
    assert result.findings[0].owner == "memblock/odd" and "is not preserved" in result.cause


@pytest.mark.parametrize("kernels", [("linux-7.3", PAGES_16K), (PAGES_16K, "linux-7.3")])
def test_a4_another_page_size_ends_linux_before_its_console(
    rig: Rig, kernels: tuple[str, str]
) -> None:
    """Nothing that is handed over says how large pages are, and Linux follows what it takes for
    pointers. That there is something to be read is due to earlycon."""
    result = rig.run("virt", kernels=kernels)
    assert result.verdict is Verdict.CRASH
    assert result.cause == "Kernel panic - not syncing: Attempted to kill the idle task!"
    [panic] = result.findings
    assert panic.generation == 2
    assert any("__kho_radix_walk_tree" in line for line in panic.evidence), panic.evidence


def test_a4_the_same_page_size_is_taken(rig: Rig) -> None:
    rig.run("virt", kernels=(PAGES_16K, PAGES_16K)).expect_pass()


def test_a4_khorig_refuses_other_page_sizes(rig: Rig) -> None:
    """Whoever wrote it: by where the tree has the page of the root."""
    for kernels in ((PAGES_16K, "khorig"), (PAGES_16K, "khorig-64k")):
        result = rig.run("virt", kernels=kernels, stops=(), memory=4 << 30)
        assert result.cause.startswith("generation 2 refused its handover: page-size")


@pytest.mark.parametrize(
    "kernels", [("khorig-16k", PAGES_16K, "khorig-16k"), (PAGES_16K, "khorig-16k", PAGES_16K)]
)
def test_a4_pages_of_16_kib_in_a_chain(rig: Rig, kernels: tuple[str, ...]) -> None:
    rig.run("virt", kernels=kernels).expect_pass()


def test_a4_a_dump_tells_the_page_size(rig: Rig) -> None:
    """By trying: with the right one everything in it adds up."""
    result = rig.run("virt", kernels=(PAGES_16K, "khorig"), keep=True)
    with result.dump("entry", 2) as dump:
        assert dump.geometry.page_size == 16 << 10
        assert dump.check() == []
        test = dump.snapshot.linux.kho_test
        assert test and test.adds_up


def test_k1_uefi_and_a_handover_stop_an_arm64_kernel_with_debug_vm(rig: Rig) -> None:
    """efi_init() asks is_kho_boot(), which makes an address of the handover's by phys_to_virt()
    before it is known where memory starts."""
    peer = built_peer("arm64", "linux-7.3")
    if "CONFIG_EFI=y" not in (peer.directory / "config").read_text():
        pytest.skip(f"the peer {peer.pinned} is built without EFI")
    result = rig.run("virt", kernels=("linux-7.3", "linux-7.3"), boot="uefi")
    assert result.verdict is Verdict.CRASH
    [panic] = result.findings
    assert panic.generation == 2
    assert any("is_kho_boot" in line for line in panic.evidence), panic.evidence


def dirty_archive(folder: Path) -> Path:
    """An initramfs with a program that leaves memory dirty, and padding that makes it larger than
    the CMA area of the test."""
    peer = built_peer("x86_64", DMA_CMA)
    program = compile_static(peer, [Path(__file__).parent / "dirty.c"], [], "dirty.c")
    path = folder / "dirty.cpio"
    write_archive(path, {"dirty": program, "padding": bytes(4 << 20)}, ())
    return path


@pytest.mark.parametrize("zeroed", [False, True])
def test_l8_the_tail_of_a_segment_in_cma_is_not_cleared(
    rig: Rig, tmp_path: Path, zeroed: bool
) -> None:
    """Without KHO segments are put into CMA, as far as they fit. The digest takes what a segment
    has beyond its file for zeros; where that memory was used before it is not, and purgatory stops
    for ever without a word. Pages that come zeroed (init_on_alloc) hide it."""
    options = (
        "kho=off",
        "khorig.kho=off",
        "cma=4M",
        f"init_on_alloc={int(zeroed)}",
    )
    result = rig.run(
        "q35",
        kernels=(DMA_CMA, "khorig"),
        linux_options=options,
        programs=("/dirty 230",),
        extra_initrd=str(dirty_archive(tmp_path)),
        memory=256 << 20,
        stops=(),
        timeout_s=100.0,
    )
    if zeroed:
        assert result.cause == "generation 2 found no handover at boot"
    else:
        assert (result.verdict, result.generations) == (Verdict.HANG, 1)
        assert "spins in generation 2's purgatory+" in result.cause


class FlippedSegment:
    """A StopHook: flips a bit of a kernel wherever it lies in memory, once it is loaded."""

    def __init__(self, image: bytes) -> None:
        at = len(image) // 2 & ~0xFFF | 0x100  # within a page, from whatever sector it begins
        self._sample = image[at : at + _SAMPLE]

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if (context.at, context.generation) != ("sealed", 1):
            return []
        flipped = bytes([self._sample[0] ^ 1])
        found = []
        for area in RamMemory(context.ram).ranges:
            memory = context.ram.read(area.begin, area.size)
            at = memory.find(self._sample)
            while at >= 0:
                found.append(area.begin + at)
                at = memory.find(self._sample, at + 1)
        for address in found:
            context.ram.write(address, flipped)
        return [f"flipped a bit at {', '.join(map(hex, found))}"]


@pytest.mark.parametrize("flipped", [False, True])
def test_l7_a_wrong_digest_ends_in_a_loop(rig: Rig, flipped: bool) -> None:
    """Purgatory compares what was loaded with its digest, and stops for ever without a word when
    they differ. Linux 7.3 compares nothing where KHO is on."""
    image = find_elf("x86_64").with_suffix(".bin").read_bytes()
    hooks = (FlippedSegment(image),) if flipped else ()
    result = rig.run("q35", kernels=("linux-7.2", "khorig"), hooks=hooks, timeout_s=60.0)
    if not flipped:
        result.expect_pass()
        return
    assert (result.verdict, result.generations) == (Verdict.HANG, 1)
    assert result.findings[0].rule == "KHR-I105"
    assert "spins in generation 2's purgatory+" in result.cause
