# SPDX-License-Identifier: BSD-3-Clause
"""Rules over the course of a run."""

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

_protocol = partial(Rule, kind=Kind.PROTOCOL)

PROTOCOL_RULES = (
    _protocol(
        ORDER,
        "generations, stops and events come in order",
        "Each generation boots once, after a jump of the one before, stops where it was asked to, and "
        "the last one ends the run.",
        "An unexpected banner is a reset, a missing one a kernel that died in silence.",
        (),
        "events.jsonl has every event with its time.",
    ),
    _protocol(
        REFUSAL,
        "damaged handovers are refused, sound ones are taken",
        "A generation refuses its handover when the host has damaged it, with the cause that the damage "
        "must have, and at no other time.",
        "A kernel that drops a handover takes all preserved memory for free memory.",
        ("A1", "A10", "E11"),
        "The text has the cause that the kernel gives, with where, found and expected.",
    ),
    _protocol(
        GUEST,
        "the guest reports no error",
        "No kernel fails a check of its own, runs out of memory, takes an exception or panics.",
        "It is the first witness, though never the only one.",
        (),
        "The file and line are those of the kernel; console.log has what it printed before.",
    ),
    _protocol(
        GUEST_LEDGER,
        "the guest finds every page as its ledger has it",
        "The kernel that takes a handover over hashes every page in the ledger and finds the hash that "
        "the kernel before it wrote there.",
        "It is the guest's own look at what the host compares in guest memory.",
        ("L3", "E1", "Q1"),
        "If the host found no change, the page was written to between two stops.",
    ),
    _protocol(
        EXIT_STATUS,
        "the guest ends with the status of a pass",
        "QEMU ends with the exit status that docs/abi.md has for a pass, soon after the last event.",
        "A guest that says pass and ends otherwise is not to be believed.",
        (),
        "qemu.stderr has QEMU's own words.",
    ),
    _protocol(
        PROGRESS,
        "the guest makes progress",
        "A guest whose console is silent does not come back to the same CPU state again and again.",
        "It is told from one that is only slow by its registers.",
        ("L8",),
        "The call chain is that of the CPU when it was looked at.",
    ),
    _protocol(
        DEADLINE,
        "the run ends in time",
        "The run ends before --timeout.",
        "Says nothing about the guest, which was making progress.",
        (),
        "Raise --timeout, or look for what else keeps the host busy.",
    ),
    _protocol(
        WELL_FORMED,
        "events are well-formed",
        "Each line that starts with @khorig is an event of docs/abi.md with fields of its types, and "
        "the console stays within its limit.",
        "What cannot be parsed may be the event that matters.",
        (),
        "console.log has the bytes as they came.",
    ),
    _protocol(
        EVALUATED,
        "every rule that applies was evaluated",
        "Each rule that holds for a run of this kind was evaluated where it applies.",
        "A check that was skipped must not look like one that passed.",
        (),
        "The text names the rule, the generation and the stop.",
    ),
    _protocol(
        COMPARED,
        "pages were compared across every jump",
        "For each jump the host compared preserved pages from before it with the same pages after it.",
        "A jump across which nothing was compared proves nothing.",
        (),
        "Stop where memory can be looked at: `sealed`, and `entry` or `restored`.",
    ),
    _protocol(
        SEGMENTS,
        "the next kernel lies in scratch",
        "Each segment lies wholly inside a scratch area, no two overlap, and the entry is in one.",
        "What lies there when the segments are copied is overwritten.",
        ("L3", "I4", "E15"),
        "The page that would be overwritten and its owner are named.",
    ),
    _protocol(
        SEALED_COUNTS,
        "the guest counts what its memory has",
        "The blocks, pages and nodes of the stop `sealed` are those of the tracker.",
        "A kernel that has lost count frees too much or too little.",
        ("G6",),
        "Both numbers are printed.",
    ),
    _protocol(
        RESTORED_COUNTS,
        "the guest restores as much as was sealed",
        "Blocks, pages, bytes, stores, fragments and depth of the event `restored` are those of the "
        "sealed handover.",
        "What is not restored is dropped at the next hop.",
        ("G5", "T7"),
        "Both numbers are printed.",
    ),
    _protocol(
        LEDGER,
        "the ledger agrees with the host",
        "The ledger has every preserved page but those that are written after it, in the order of their "
        "keys, each with the hash that the host finds.",
        "Guest and host hash with independent code.",
        ("R13",),
        "The entry, both hashes and the owner are printed.",
    ),
    _protocol(
        SCENARIO,
        "the state of the scenario is what the seed decides",
        "What `churn`, `storm` and `recursion` preserve, give back and write is computed again from the "
        "seed and found in the tracker, in the stores and in the fragments.",
        "A lost update leaves a handover that is consistent and wrong.",
        ("R11", "R12", "R16"),
        "The text names the block, the fragment or the page.",
    ),
    _protocol(
        CPUS_ONLINE,
        "every CPU is found and online",
        "The kernel finds as many CPUs as the machine has, and as many come online as it supports.",
        "A CPU that an earlier kernel did not park cannot be started again.",
        (),
        "The kernel counts itself; the host knows how many the machine has.",
    ),
    _protocol(
        CPUS_PARKED,
        "no CPU but the first runs at entry",
        "At the first instruction of the next kernel QEMU has every other CPU halted or off.",
        "A CPU that still runs executes code that is overwritten.",
        (),
        "The text says whose page the CPU executes.",
    ),
    _protocol(
        RAM_USED,
        "the kernel uses all of RAM",
        "The frame table of khorig's allocator covers the RAM that QEMU gave to the machine, but for "
        "what the firmware keeps for itself.",
        "A run over a part of RAM says nothing about the rest of it.",
        ("E7",),
        "The first range that is not used is printed.",
    ),
    _protocol(
        FAULT_FIRED,
        "an armed fault happens",
        "The kernel reports that the deliberate defect that it was armed with happened.",
        "A run in which it never happened shows nothing about the check that it is for.",
        (),
        "Not every scenario has a target for every fault; docs/scenarios.md has the table.",
    ),
    _protocol(
        LINUX_LOG,
        "the log of a Linux reports no trouble",
        "The kernel log has no warning, BUG or Oops, and Linux neither refuses the handover nor fails "
        "to restore a part of it.",
        "Linux goes on after most of these.",
        (),
        "The line is quoted.",
    ),
    _protocol(
        LINUX_REPORTS,
        "each kernel reports what it was handed",
        "Each Linux finds the handover, its record of the kernel before, reserved memory, the folios of "
        "its test module and the session; khorig checks the folios.",
        "A kernel that silently boots without its handover would otherwise pass.",
        ("A5", "G1", "T7"),
        "The text has what was never reported.",
    ),
    _protocol(
        FIRMWARE,
        "the firmware starts the loader",
        "UEFI firmware finds the loader on the volume and starts it.",
        "Its shell would wait for a person.",
        (),
        "console.log has the firmware's own words.",
    ),
    _protocol(
        POKED,
        "a poke happens",
        "A byte that `--poke` asks to change was changed, at the stop and place that were asked for.",
        "A run in which it was not changed shows nothing about the check that it is for.",
        (),
        "`khorig inspect --owners` lists the names of owners.",
    ),
)
