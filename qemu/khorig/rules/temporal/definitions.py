# SPDX-License-Identifier: BSD-3-Clause
"""Rules over memory at two moments."""

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

_temporal = partial(Rule, kind=Kind.TEMPORAL)

TEMPORAL_RULES = (
    _temporal(
        PAGES_ACROSS_JUMP,
        "no preserved page changes across a jump",
        "At the first instruction of the next kernel every preserved page has the content that it "
        "had when the handover was sealed. Where the kernel before is a Linux, what it serializes "
        "after the last word of its user space may differ.",
        "Between the two nobody but the relocation of segments has a reason to write.",
        ("L3", "E1", "Q1", "Q2", "R13"),
        "The owner says whose page it is, `khorig diff` of the images of both stops which bytes.",
    ),
    _temporal(
        TRACKER_ACROSS_JUMP,
        "the tracker does not change across a jump",
        "At the first instruction of the next kernel every node of the tracker has the content that "
        "it had when the handover was sealed.",
        "Nobody preserves the tracker's own pages; they must outlive the relocation of segments.",
        ("R2", "E16", "L3"),
        "Compare the node's address with the segments of the jump.",
    ),
    _temporal(
        PAGES_UNTIL_RESTORED,
        "no preserved page changes before it is restored",
        "When all of the handover is back in use every page still has the content that it had when it "
        "was sealed.",
        "Until then the kernel runs in scratch, and preserved pages are not its own to write to.",
        ("G1", "R14", "T4", "E4"),
        "An allocation from outside scratch, or a page given back too early: see the frame table.",
    ),
    _temporal(
        PAGES_HANDED_ON,
        "what is only handed on does not change",
        "From one sealed handover to the next, and in a Linux while its user space runs, pages that "
        "nobody has a reason to write to keep their content.",
        "The ledger is made anew of what is there: a stray write between the check of what was taken "
        "over and the next ledger would be handed on as if it were right.",
        ("Q1", "R12"),
        "`--keep` leaves images of every stop; `khorig diff` finds the stop by which it changed.",
    ),
    _temporal(
        HANDOFF,
        "the hand-off names what was sealed",
        "The boot parameters of the next kernel lead to the very root and the very scratch areas that "
        "were sealed.",
        "A kernel that is told another address boots as if there had been no handover, or with that of "
        "an earlier generation.",
        ("G3", "G8", "E2"),
        "Both addresses are printed; one that was right a generation ago is a stale parameter.",
    ),
    _temporal(
        SCRATCH_INHERITED,
        "scratch areas are inherited unchanged",
        "A kernel that takes a handover over uses the scratch areas that it was handed.",
        "Preserved memory was kept out of these areas and of no others.",
        ("G8",),
        "A command line that sets scratch aside anew must be ignored by a kernel with a handover.",
    ),
    _temporal(
        BLOCKS_RESTORED,
        "restored blocks are allocated with their order",
        "For khorig's page allocator every block that was preserved is one allocated block of the same "
        "order, head and every tail.",
        "A tail that stays behind is free memory inside of somebody's block.",
        ("T1", "T4", "R4"),
        "The entry of the frame table says what the allocator took the page for.",
    ),
    _temporal(
        SUBTREES_RELAYED,
        "a kernel in between hands subtrees on",
        "Every subtree of the root that is not the kernel's own leaves as it came.",
        "Their owner is the kernel after the next.",
        ("G5",),
        "The text names the subtree.",
    ),
    _temporal(
        BLOCKS_RELAYED,
        "a kernel in between hands blocks on",
        "Every block that came leaves with the order that it came with.",
        "A kernel restores a block by the order that it is given.",
        ("G5", "R4"),
        "The text names the block.",
    ),
    _temporal(
        PAGES_RELAYED,
        "a kernel in between does not change what it hands on",
        "Every page that came and leaves, and is not the kernel's own, has the content that it came "
        "with.",
        "Its owner is the kernel after the next.",
        ("G5", "Q1"),
        "The owner says whose page it is.",
    ),
    _temporal(
        RUNTIME_SERVICES,
        "the memory of UEFI's runtime services does not change",
        "The regions that the first kernel finds in the firmware's memory map keep their content, and "
        "every later kernel finds the same regions.",
        "Calls into the firmware run code and use data there for as long as the machine is up.",
        (),
        "A kernel that took such a region for RAM has lost its type on the way.",
    ),
    _temporal(
        PAGES_UNDER_LINUX,
        "a Linux keeps what it must keep",
        "When user space of a Linux runs, reserved memory, the folios of a retrieved memfd and whatever "
        "nobody has taken back yet have the content that was handed over.",
        "Linux keeps a preserved page reserved until somebody restores it, and reserved memory for "
        "ever.",
        ("G1", "T7", "R14"),
        "The owner says whose page it is.",
    ),
)
