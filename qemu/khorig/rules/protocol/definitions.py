# SPDX-License-Identifier: BSD-3-Clause
"""Rules over a whole run."""

from __future__ import annotations

from functools import partial

from khorig.rules.rule import Kind, Rule

ORDER = "KHR-I100"
REFUSAL = "KHR-I101"
GUEST = "KHR-I102"
GUEST_LEDGER = "KHR-I103"
EXIT_STATUS = "KHR-I104"
PROGRESS = "KHR-I105"
DEADLINE = "KHR-I106"
WELL_FORMED = "KHR-I107"
EVALUATED = "KHR-I108"
COMPARED = "KHR-I109"
SEGMENTS = "KHR-I110"
SEALED_COUNTS = "KHR-I111"
RESTORED_COUNTS = "KHR-I112"
LEDGER = "KHR-I113"
SCENARIO = "KHR-I114"
CPUS_ONLINE = "KHR-I115"
CPUS_PARKED = "KHR-I116"
RAM_USED = "KHR-I117"
FAULT_FIRED = "KHR-I118"
LINUX_LOG = "KHR-I119"
LINUX_REPORTS = "KHR-I120"
FIRMWARE = "KHR-I121"
POKED = "KHR-I122"
DEVICES_OFF = "KHR-I123"
ENTERED = "KHR-I124"
MODES = "KHR-I128"
TRANSITION = "KHR-I130"
NODES = "KHR-I136"
LIVE_DEVICE = "KHR-I125"
COUNTING = "KHR-I133"
LEVEL = "KHR-I131"
INSIDE = "KHR-I134"
FOUND = "KHR-I138"
MEMFDS = "KHR-I145"
CRASH_KERNEL = "KHR-I150"
CRASH_HEADERS = "KHR-I151"
VMCORE = "KHR-I152"
PCI_PRESERVED = "KHR-I153"

_protocol = partial(Rule, kind=Kind.PROTOCOL)

PROTOCOL_RULES = (
    _protocol(
        ORDER,
        "generations, stops and events are in order",
        "Each generation boots once, after the previous one's jump, and stops where requested; "
        "the last one ends the run.",
        "An unexpected banner is a reset, a missing one a silent death.",
        (),
        "events.jsonl has every event with its time.",
    ),
    _protocol(
        REFUSAL,
        "corrupted handovers are refused, valid ones accepted",
        "A generation refuses its handover if and only if the host corrupted it, and with the "
        "expected cause.",
        "A kernel that drops a handover frees all preserved memory.",
        ("A1", "A10", "E11"),
        "The message has the kernel's cause, with where, found and expected.",
    ),
    _protocol(
        GUEST,
        "the guest reports no error",
        "No kernel fails its own checks, runs out of memory, takes an exception or panics.",
        "The guest's checks run first; the host's do not depend on them.",
        (),
        "File and line refer to kernel source; console.log has the output before the error.",
    ),
    _protocol(
        GUEST_LEDGER,
        "every page matches the guest's ledger",
        "The kernel that restores a handover hashes every page in the ledger and finds the hash "
        "stored by its predecessor.",
        "This is the guest's view of what the host compares in guest memory.",
        ("L3", "E1", "Q1"),
        "If the host found no change, the page was written between two stops.",
    ),
    _protocol(
        EXIT_STATUS,
        "the guest exits with status pass",
        "Soon after the last event QEMU exits with the status for a pass in docs/abi.md.",
        "A guest that reports pass but exits otherwise is not trusted.",
        (),
        "qemu.stderr has QEMU's output.",
    ),
    _protocol(
        PROGRESS,
        "the guest makes progress",
        "A guest with a silent console does not repeat the same CPU state.",
        "The registers distinguish a hang from a slow guest.",
        ("L8",),
        "The backtrace is from the time of the sample.",
    ),
    _protocol(
        DEADLINE,
        "the run ends in time",
        "The run ends before --timeout.",
        "A timeout is no statement about the guest, which was making progress.",
        (),
        "Raise --timeout, or find what keeps the host busy.",
    ),
    _protocol(
        WELL_FORMED,
        "events are well-formed",
        "Each line starting with @khorig is an event of docs/abi.md with fields of the right "
        "types, and the console output stays within its limit.",
        "An event that cannot be parsed may be the one that matters.",
        (),
        "console.log has the raw bytes.",
    ),
    _protocol(
        EVALUATED,
        "every applicable rule was evaluated",
        "Each rule that applies to this kind of run was evaluated at its stops.",
        "A skipped check must not look like a passed one.",
        (),
        "The message names rule, generation and stop.",
    ),
    _protocol(
        COMPARED,
        "pages were compared across every jump",
        "For each jump the host compared preserved pages before and after it.",
        "A jump with nothing compared proves nothing.",
        (),
        "Enable stops that expose memory: `sealed`, and `entry` or `restored`.",
    ),
    _protocol(
        SEGMENTS,
        "the next kernel is placed in scratch",
        "Each segment is completely inside a scratch area, no two overlap, and the entry point is "
        "inside one.",
        "Copying the segments overwrites whatever is there.",
        ("L3", "I4", "E15"),
        "The message names the page that would be overwritten and its owner.",
    ),
    _protocol(
        SEALED_COUNTS,
        "the guest's counts match its memory",
        "Blocks, pages and nodes reported at the stop `sealed` equal those of the tracker.",
        "A kernel with wrong counts frees too much or too little.",
        ("G6",),
        "Both numbers are printed.",
    ),
    _protocol(
        RESTORED_COUNTS,
        "the guest restores everything that was sealed",
        "Blocks, pages, bytes, stores, fragments and depth of the event `restored` equal those of "
        "the sealed handover.",
        "State that is not restored is dropped at the next jump.",
        ("G5", "T7"),
        "Both numbers are printed.",
    ),
    _protocol(
        LEDGER,
        "the guest's ledger matches the host's hashes",
        "The ledger lists every preserved page except those written after it, in key order, each "
        "with the hash computed by the host.",
        "Guest and host hash with independent code.",
        ("R13",),
        "The entry, both hashes and the owner are printed.",
    ),
    _protocol(
        SCENARIO,
        "the scenario's state matches the seed",
        "The blocks and data of `churn`, `storm` and `recursion` are recomputed from the seed and "
        "compared with tracker, stores and fragments.",
        "A lost update leaves a handover that is consistent but wrong.",
        ("R11", "R12", "R16"),
        "The message names the block, fragment or page.",
    ),
    _protocol(
        CPUS_ONLINE,
        "every CPU is found and online",
        "The kernel finds all CPUs of the machine and brings up as many as it supports.",
        "A CPU not parked by the previous kernel cannot be started again.",
        (),
        "The guest's count is compared with the machine's.",
    ),
    _protocol(
        CPUS_PARKED,
        "only the boot CPU runs at entry",
        "At the next kernel's first instruction every other CPU waits for its start in QEMU, or is "
        "off.",
        "A CPU still running, or halted in a kernel, executes code that is being overwritten. One "
        "that was handed over running (`khorig/live-cpu`) has to run, in its text page and on its "
        "page tables.",
        (),
        "The message names the owner of the page being executed.",
    ),
    _protocol(
        RAM_USED,
        "the kernel uses all of RAM",
        "The frame table of khorig's allocator covers all RAM that QEMU gave the machine, except "
        "what firmware reserves.",
        "A run on part of RAM proves nothing about the rest.",
        ("E7",),
        "The first unused range is printed.",
    ),
    _protocol(
        FAULT_FIRED,
        "an armed fault fires",
        "The kernel reports that the injected fault fired.",
        "If it did not, the run proves nothing about the check under test.",
        (),
        "Some faults need a certain scenario: see `khorig list`.",
    ),
    _protocol(
        LINUX_LOG,
        "the Linux log has no errors",
        "The kernel log has no warning, BUG or Oops, and Linux neither refuses the handover nor "
        "fails to restore part of it.",
        "Linux continues after most of these.",
        (),
        "The log line is quoted.",
    ),
    _protocol(
        LINUX_REPORTS,
        "each kernel reports its incoming state",
        "Each Linux finds the handover, the record of the previous kernel, reserved memory, the "
        "test module's folios and the session; khorig checks the folios. Each program of "
        "--run ends and is reported.",
        "Otherwise a kernel that silently boots without its handover would pass.",
        ("A5", "G1", "T7"),
        "The message names the missing report.",
    ),
    _protocol(
        FIRMWARE,
        "the firmware starts the loader",
        "UEFI firmware finds the loader on the volume and starts it.",
        "Otherwise it would wait in its shell.",
        (),
        "console.log has the firmware's output.",
    ),
    _protocol(
        POKED,
        "every poke is applied",
        "The byte selected by `--poke` was changed at the requested stop and place.",
        "If it was not, the run proves nothing about the check under test.",
        (),
        "`khorig inspect --owners` lists the owner names.",
    ),
    _protocol(
        DEVICES_OFF,
        "devices, timers and interrupt controllers are off at entry",
        "At the next kernel's first instruction QEMU's registers show no bus master, no "
        "virtio device in use, no watchdog or timer armed, no interrupt pending, no interrupt line "
        "open and no interrupt controller on, and no watchdog expires later. Every kernel of "
        "khorig switches them on before it quiesces.",
        "DMA, an MSI or an LPI writes to memory that the next kernel has given away.",
        (),
        "The message names device, register and value. After a Linux the same is only recorded.",
    ),
    _protocol(
        ENTERED,
        "a kernel is entered as its boot protocol says",
        "No interrupt is on, and no control register has a bit of the predecessor: on x86_64 "
        "RFLAGS without TF, IF, DF, NT and AC, CR0, CR4 and EFER with what long mode needs; on "
        "arm64 DAIF masked, MMU and data cache off, x1 to x3 zero, HCR_EL2.E2H off.",
        "A kernel that does not expect it dies before it can print.",
        ("J6", "J12", "J14", "J15"),
        "The message has the register. The kernel's first instructions record them in its image "
        "(docs/abi.md).",
    ),
    _protocol(
        TRANSITION,
        "the copy's page tables map what it uses",
        "At the stop `sealed` the page tables that the copy of the next kernel runs on map its "
        "code, data, sources and destinations to themselves, each with the rights that it needs. "
        "All of them and the tables lie outside every destination, and no entry has a bit that "
        "the architecture leaves to the kernel that wrote it.",
        "The copy has no exception handlers and no console: what it cannot reach ends the machine "
        "in silence. A next kernel that starts on the tables follows their entries.",
        ("J2", "J3", "J10", "L4", "L5", "N1", "N2"),
        "The message has the entry, its address and its level.",
    ),
    _protocol(
        NODES,
        "blocks and scratch keep to NUMA nodes",
        "No preserved block and no scratch area is in two of the nodes that QEMU was told to make, "
        "and behind the areas for low memory and for all nodes each node with memory has one.",
        "Linux attributes all pages of a block to the node of its first, and takes the early "
        "memory of a node from its scratch area.",
        ("R3", "T5", "E9"),
        "The message names the nodes; `--numa` made their boundary.",
    ),
    _protocol(
        LIVE_DEVICE,
        "a device that is handed over works on",
        "When it is sealed it has done as many transfers as its description says; at the next "
        "kernel's first instruction it is a bus master with its registers where they were; and "
        "when all is restored it has done one transfer more, which was started before the jump.",
        "A device that was reset, or that lost bus mastering, has lost the work under way.",
        ("N17",),
        "The message has both counts, or what the function's registers show.",
    ),
    _protocol(
        COUNTING,
        "a CPU that runs on counts across each jump",
        "The counter in its page is higher at the next kernel's `entry` and `restored` than it was "
        "at `sealed`, and grows while the kernel waits there.",
        "A CPU that stands still across the jump is one that was stopped by it.",
        ("N16",),
        "The journal has the values (records `counter`).",
    ),
    _protocol(
        LEVEL,
        "the exception level is handed on",
        "On arm64, at each kernel's first instruction, QEMU shows CPU 0 at the EL that the kernel "
        "before it was entered at.",
        "A kernel that is entered at EL1 can never be a host of virtual machines.",
        ("J12",),
        "Both levels are PSTATE of `info registers`.",
    ),
    _protocol(
        MODES,
        "the kernel runs in the mode it reports, with all protections",
        "On x86_64, every CPU in khorig's image has as many levels of page tables as `la57=` asks "
        "for, or else the CPU has, and as the kernel reports; CR0.WP is on, and of SMEP, SMAP, "
        "UMIP, PKE and NX what the CPU has.",
        "A mode that is not on hides what breaks in it.",
        ("N1",),
        "The registers are QEMU's, what the CPU has its CPU model's.",
    ),
    _protocol(
        INSIDE,
        "a CPU that runs on keeps to its pages across each jump",
        "From `sealed` to the next kernel's `entry` and `restored` the probe in QEMU sees every "
        "block of instructions that the CPU begins lie in its text page, and every store go to its "
        "stack or counter.",
        "An access that leaves no trace in preserved memory is one to somebody else's page.",
        ("N16",),
        "The message has the number of accesses elsewhere, and PC and address of the first.",
    ),
    _protocol(
        FOUND,
        "kernel and host find the same devices on at entry",
        "What the kernel reports in its event `found` is what QEMU showed at its `entry`: bus "
        "masters, pending interrupts, watchdogs and virtio-mmio devices.",
        "A kernel that does not see what its predecessor left on cannot switch it off.",
        (),
        "Of PCI the kernel looks at the first root bus and all below it.",
    ),
    _protocol(
        MEMFDS,
        "a Linux hands over the memfds of its user space as they are",
        "Where a Linux jumps, the description of each memfd that user space has preserved holds "
        "its size, seals and position, and a folio for every page that is dirty and up to date.",
        "The next kernel believes the description: a clean folio is dropped when memory is short.",
        (),
        "The event `memfd` has what user space says; the address is that of the description.",
    ),
    _protocol(
        CRASH_KERNEL,
        "a crash kernel is given no handover",
        "A kernel loaded with KEXEC_FILE_ON_CRASH finds no handover in its boot parameters.",
        "It lives in its own memory; preserved memory is that of the kernel that died, and part of "
        "the dump.",
        ("L2",),
        "kho_fill_kimage() leaves images of type KEXEC_TYPE_CRASH alone.",
    ),
    _protocol(
        CRASH_HEADERS,
        "the ELF headers of a crash kernel describe the RAM of the machine",
        "Every PT_LOAD of the headers is RAM as the dead kernel and the machine have it, none is "
        "memory of the crash kernel, and all other RAM is in one (on x86_64 but for the first "
        "MiB).",
        "What no header describes is missing from the dump; what is no RAM cannot be read.",
        (),
        "The headers are at `elfcorehdr=` or in /chosen/linux,elfcorehdr of the crash kernel.",
    ),
    _protocol(
        VMCORE,
        "/proc/vmcore is the memory of the kernel that died",
        "A crash kernel finds in /proc/vmcore the registers of every CPU that ran, the release of "
        "the dead kernel, and every page of reserved memory and the memfd with its content.",
        "A dump of another memory than that of the dead kernel is worse than none.",
        (),
        "The event `vmcore` has what was found; /proc/vmcore is an ELF core that `inspect` reads.",
    ),
    _protocol(
        PCI_PRESERVED,
        "a preserved PCI device is configured across a jump as it was",
        "Of each device in `pci-v2`, from the last event of user space until the next kernel's "
        "user space runs: its bus number and those of a bridge, bus mastering, ACS control, ARI "
        "control and ARI forwarding.",
        "A device that works on across the jump answers at another address, or stops, or reaches "
        "another group's memory.",
        (),
        "events.jsonl has the changes of all functions by stop (`pci`); --verbose prints them.",
    ),
)
