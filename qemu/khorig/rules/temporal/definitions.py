# SPDX-License-Identifier: BSD-3-Clause
"""Rules over memory at two stops."""

from __future__ import annotations

from functools import partial

from khorig.rules.rule import Kind, Rule

PAGES_ACROSS_JUMP = "KHR-I080"
TRACKER_ACROSS_JUMP = "KHR-I081"
PAGES_UNTIL_RESTORED = "KHR-I082"
PAGES_HANDED_ON = "KHR-I083"
HANDOFF = "KHR-I084"
SCRATCH_INHERITED = "KHR-I085"
BLOCKS_RESTORED = "KHR-I086"
SUBTREES_RELAYED = "KHR-I087"
BLOCKS_RELAYED = "KHR-I088"
PAGES_RELAYED = "KHR-I089"
RUNTIME_SERVICES = "KHR-I090"
PAGES_UNDER_LINUX = "KHR-I091"
RSDP_HANDED_ON = "KHR-I092"
FIRMWARE_TABLES = "KHR-I093"
FIRMWARE_HEADERS = "KHR-I094"
FIRMWARE_MAP = "KHR-I095"
LIVE_PAGE = "KHR-I096"
SETTLED = "KHR-I097"
GIVEN = "KHR-I098"
POISON = "KHR-I099"
CRASH_MEMORY = "KHR-I155"
RAM_OF_COLD_BOOT = "KHR-I160"

_temporal = partial(Rule, kind=Kind.TEMPORAL)

TEMPORAL_RULES = (
    _temporal(
        PAGES_ACROSS_JUMP,
        "no preserved page changes across a jump",
        "At the next kernel's first instruction every preserved page has the content it was "
        "sealed with. Behind a Linux, state serialized after its last user space event may "
        "differ.",
        "In between only the relocation of segments writes to memory.",
        ("L3", "E1", "Q1", "Q2", "R13"),
        "The owner identifies the page; `khorig diff` of the images of both stops shows the "
        "bytes.",
    ),
    _temporal(
        TRACKER_ACROSS_JUMP,
        "the tracker does not change across a jump",
        "At the next kernel's first instruction every tracker node has the content it was sealed "
        "with.",
        "The tracker's own pages are not preserved; they must survive the relocation of segments.",
        ("R2", "E16", "L3"),
        "Compare the node's address with the segments of the jump.",
    ),
    _temporal(
        PAGES_UNTIL_RESTORED,
        "no preserved page changes before it is restored",
        "When the whole handover is restored, every page still has the content it was sealed "
        "with.",
        "Until then the kernel runs in scratch and must not write to preserved pages.",
        ("G1", "R14", "T4", "E4"),
        "An allocation outside scratch, or a page freed too early: see the frame table.",
    ),
    _temporal(
        PAGES_HANDED_ON,
        "pass-through memory does not change",
        "From one sealed handover to the next, and in a Linux while its user space runs, pages "
        "without a legitimate writer keep their content.",
        "The ledger is rebuilt from memory: a stray write between verification and the next "
        "ledger would be handed on as valid.",
        ("Q1", "R12"),
        "`--keep` saves images at every stop; `khorig diff` finds the stop before which the page "
        "changed.",
    ),
    _temporal(
        HANDOFF,
        "the boot parameters point to the sealed handover",
        "The next kernel's boot parameters point to the sealed root and scratch areas.",
        "With another address the kernel boots without a handover, or with that of an earlier "
        "generation.",
        ("G3", "G8", "E2"),
        "Both addresses are printed; one that was valid a generation ago is a stale parameter.",
    ),
    _temporal(
        SCRATCH_INHERITED,
        "scratch areas are inherited unchanged",
        "A kernel that accepts a handover uses the scratch areas passed to it.",
        "Preserved memory avoids these areas and no others.",
        ("G8",),
        "With a handover a kernel must ignore scratch sizes on the command line.",
    ),
    _temporal(
        BLOCKS_RESTORED,
        "restored blocks are allocated with their order",
        "In khorig's page allocator every preserved block is one allocated block of the same "
        "order, head and all tails.",
        "A missed tail is free memory inside an allocated block.",
        ("T1", "T4", "R4"),
        "The frame table entry shows the allocator's state of the page.",
    ),
    _temporal(
        SUBTREES_RELAYED,
        "an intermediate kernel passes subtrees on",
        "Every foreign subtree of the root is handed on unchanged.",
        "Its owner is the kernel after the next.",
        ("G5",),
        "The message names the subtree.",
    ),
    _temporal(
        BLOCKS_RELAYED,
        "an intermediate kernel passes blocks on",
        "Every incoming block is handed on with its order.",
        "The next kernel restores a block by its order.",
        ("G5", "R4"),
        "The message names the block.",
    ),
    _temporal(
        PAGES_RELAYED,
        "an intermediate kernel does not modify foreign pages",
        "Every incoming foreign page that is handed on keeps its content.",
        "Its owner is the kernel after the next.",
        ("G5", "Q1"),
        "The owner identifies the page.",
    ),
    _temporal(
        RUNTIME_SERVICES,
        "UEFI runtime services memory does not change",
        "The regions in the firmware's memory map found by the first kernel keep their content, "
        "and every later kernel finds the same regions. What changes while a Linux runs, which may "
        "call the firmware, is the firmware's own.",
        "Firmware calls use code and data there for as long as the machine is up.",
        (),
        "A kernel that treats such a region as RAM lost the region's type on the way.",
    ),
    _temporal(
        PAGES_UNDER_LINUX,
        "Linux keeps what it must keep",
        "When a Linux's user space runs, reserved memory, folios of a retrieved memfd and "
        "everything not yet restored have the content that was handed over.",
        "Linux keeps a preserved page reserved until it is restored, and reserved memory forever.",
        ("G1", "T7", "R14"),
        "The owner identifies the page.",
    ),
    _temporal(
        RSDP_HANDED_ON,
        "the ACPI root pointer of UEFI is handed on",
        "boot_params of every kernel after the first name the RSDP of the EFI configuration table "
        "(x86_64, started by UEFI).",
        "Behind UEFI there is no RSDP where a kernel without it looks for one: it finds no ACPI, "
        "and one CPU.",
        ("N3",),
        "The message has both addresses; Linux copies acpi_rsdp_addr of its own boot_params.",
    ),
    _temporal(
        FIRMWARE_TABLES,
        "the firmware's tables stay",
        "Each table of the EFI configuration table that Linux reads has the content that it had at "
        "the first stop, and lies in memory that no later kernel is told is free. RNG seed, "
        "MEMRESERVE, UNACCEPTED, the TPM's final log and the FACS may change; INITRD counts only "
        "for a kernel that died, for one with an initrd does not read it.",
        "A kernel reads them where the firmware left them; only what the memory map or a "
        "reservation keeps is still there.",
        ("N4",),
        "Compare the address with the memory map handed on; a table in EfiLoaderData or in boot "
        "services memory is RAM after the first kernel unless that reserves it.",
    ),
    _temporal(
        FIRMWARE_HEADERS,
        "the firmware's tables have sane headers",
        "ACPI tables add up to 0 and have possible lengths, so has the SMBIOS anchor; the memory "
        "attributes table has version 1 or 2, descriptors of the memory map's size, and at most "
        "twice as many as that.",
        "Kernels trust sizes in these tables.",
        ("N4",),
        "A size that is absurd is memory that was reused.",
    ),
    _temporal(
        FIRMWARE_MAP,
        "the memory map keeps what is not RAM",
        "Every region other than RAM in the memory map that the first kernel was given has its "
        "type in the map of every later kernel (started by UEFI).",
        "ACPI's tables, its NVS and the runtime services are lost to a kernel that takes their "
        "memory for RAM, or does not find it in the map.",
        ("N4", "L10"),
        "boot_params hold 128 regions, the rest is a setup_data of type 1.",
    ),
    _temporal(
        LIVE_PAGE,
        "a device that works across the jump writes only where it says",
        "From the seal until all is restored nothing changes in the page of a live device but the "
        "bytes that its description names.",
        "The page is preserved memory as any other; that a device writes it is no leave for a CPU.",
        ("Q2",),
        "The evidence has the bytes.",
    ),
    _temporal(
        SETTLED,
        "no device writes to preserved memory after the jump",
        "From `restored` to `settled`, a while of virtual time in which the kernel idles, every "
        "preserved page keeps its content.",
        "A device that the predecessor left running writes when it is done, not when the kernel "
        "looks.",
        ("Q1", "Q2"),
        "The evidence names the devices that can write to memory. `--append settle=MS` waits "
        "longer.",
    ),
    _temporal(
        GIVEN,
        "the next kernel is given what a kernel was given",
        "Each setup_data, efi_info and RSDP of boot_params, and each property of /chosen, is there "
        "for every later kernel, with its content. Of one boot are initrd, command line, the "
        "handover, what a crash kernel gets, and measurements; a seed (setup_data 9, rng-seed, "
        "kaslr-seed) is new or none. Linux 7.3 on x86 hands on no setup_data but EFI's.",
        "A kernel behind the next one may need what the one in between does not understand.",
        ("N14",),
        "docs/abi.md says what khorig hands on; arch/x86/kernel/kexec-bzimage64.c and "
        "drivers/of/kexec.c what Linux does.",
    ),
    _temporal(
        POISON,
        "no page that was reported bad is used again",
        "A page with PG_hwpoison in a Linux of the chain is not preserved, holds no node of the "
        "tracker, and lies neither in scratch nor where a khorig puts a segment, in that kernel "
        "and in every later one. A Linux tells by VMCOREINFO where its struct pages are; with "
        "KASLR on x86_64, or behind other Linuxes, nothing is known.",
        "A kernel that is booted by kexec starts without that knowledge, and reads memory that "
        "fails.",
        ("N7",),
        "The Linux that found the page bad has said `Memory failure:` with its frame.",
    ),
    _temporal(
        CRASH_MEMORY,
        "a crash kernel changes no memory but its own",
        "From its first instruction until its user space has read /proc/vmcore, all RAM of the "
        "dead kernel outside of crashkernel= keeps its content (on x86_64 but for the first MiB, "
        "which Linux gives to crash kernels).",
        "Every page it writes to is a page of the dead kernel that the dump has lost.",
        (),
        "The owner is the one in the handover that the dead kernel had prepared.",
    ),
    _temporal(
        RAM_OF_COLD_BOOT,
        "memory that is no RAM in a cold boot is none after a jump",
        "In a chain with real Linux, every range that a kernel behind a jump takes for RAM is RAM "
        "in the map of the first kernel, and a Linux has not lost 1 MiB of it or more, unless "
        "mem=, memmap= or a crash limits it. A Linux's map is /proc/iomem, khorig's what it is "
        "given. Started by UEFI, Linuxes are compared with each other.",
        "What firmware has reserved, and for whom, only the first kernel is told. A successor that "
        "takes it for RAM writes there when memory gets short.",
        ("N12",),
        "The message has range, size and what it was. boot_params' e820 of the jump is made by the "
        "kernel before; `--stress` makes use of all RAM.",
    ),
)
