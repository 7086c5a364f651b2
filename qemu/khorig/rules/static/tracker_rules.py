# SPDX-License-Identifier: BSD-3-Clause
"""The tracker: which blocks are preserved."""

from __future__ import annotations

from khorig.rules.rule import ANY, Level, Rule

TRACKER_RULES = (
    Rule(
        "KHR-I013",
        "tracker nodes are page-aligned",
        "Every pointer in the tracker is a multiple of the page size.",
        "The receiver follows pointers unchecked, before it has a console.",
        ("A10", "R10"),
        "The address is that of the pointer. A table containing text or code was freed while "
        "still linked.",
        (("node", "unaligned"),),
    ),
    Rule(
        "KHR-I014",
        "tracker nodes are in RAM",
        "Every pointer in the tracker is an address in RAM.",
        "The receiver follows pointers unchecked.",
        ("A10", "R10", "A4"),
        "If all pointers are wild, check the page size: the format does not record it (A4).",
        (("node", "outside-ram"),),
    ),
    Rule(
        "KHR-I015",
        "no tracker node is linked twice",
        "The tracker is a tree (or a list) without cycles; every page is linked once.",
        "A cycle makes the receiver loop forever; a shared leaf marks blocks that were never "
        "preserved.",
        ("A10", "S5", "R10"),
        "A page freed after a failed allocation and linked again is R10.",
        (("node", "radix-cycle"),),
    ),
    Rule(
        "KHR-I016",
        "every key encodes a valid order",
        "The highest bit of a key is the bit of a valid order.",
        "The order is decoded from the highest bit. A key without one, or with one too high, "
        "stands for a block of a bogus size.",
        ("A3", "A4", "R3"),
        "All keys wrong by the same bits: the kernels differ in page size or tree depth (A3).",
        (("node", "order-range"),),
    ),
    Rule(
        "KHR-I017",
        "tracker pages are not used otherwise",
        "No tracker node is the root page or part of a preserved block.",
        "The receiver reads the tracker once and frees its pages; a page that is also preserved "
        "would be used twice.",
        ("E16", "R7"),
        "Look up the page's owner; the later of the two allocations is the bug.",
        (("node", "overlap"),),
    ),
    Rule(
        "KHR-I018",
        "the tracker size is plausible",
        "The tracker has no more keys than RAM has pages, and no more nodes than any tree needs.",
        "Blocks do not overlap, so more blocks than pages means garbage.",
        ("A10", "A4"),
        "Wrong page size or wrong root.",
        (("node", "radix-size"),),
    ),
    Rule(
        "KHR-I019",
        "preserved blocks are in RAM",
        "Every preserved block lies within one RAM range.",
        "The receiver reserves blocks unchecked. A block that exceeds RAM has a wrong order, and "
        "the pages it should cover are lost.",
        ("E7", "A3", "A4", "S4"),
        "Order 19 and above at 4 KiB overflow 32 bits (E7).",
        (("block", "outside-ram"),),
    ),
    Rule(
        "KHR-I020",
        "preserved blocks do not overlap",
        "No page is in two preserved blocks.",
        "There is one bit per block and no refcount. Restoring one block frees pages of the "
        "other.",
        ("R12", "R4"),
        "An unpreserve with another order than the preserve leaves such a block behind (R4).",
        (("block", "overlap"),),
    ),
    Rule(
        "KHR-I021",
        "no preserved block overlaps scratch",
        "No page of a preserved block is in a scratch area.",
        "The next kernel's image and early allocations go to scratch: the page is overwritten "
        "before any check can run.",
        ("R1", "G1", "E15"),
        "In a chain check generations after the first: early allocations of a kernel booted by a "
        "handover come from scratch (R2, G1).",
        (("block", "inside-scratch"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I022",
        "no tracker node overlaps scratch",
        "No page of the tracker is in a scratch area.",
        "The tracker must stay intact until the next kernel has read it.",
        ("R2", "E16"),
        "Allocate tracker pages from preservable memory, not from a pool filled early in boot.",
        (("node", "inside-scratch"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I023",
        "nothing below 1 MiB is preserved",
        "On x86 no preserved block and no tracker node is below 1 MiB.",
        "Real-mode trampolines and firmware write there on every boot.",
        ("E4",),
        "Keep memory below 1 MiB out of the allocator.",
        needs="PC",
    ),
    Rule(
        "KHR-I024",
        "preserved blocks are allocated",
        "In khorig's page allocator every preserved block is one allocated block of the same "
        "order.",
        "A preserved but free page is allocated again; a block preserved with another order than "
        "it was allocated with cannot be freed completely.",
        ("R4", "R5", "R7", "R11"),
        "The frame table entry shows the allocator's state of the page.",
        needs="frame table",
    ),
    Rule(
        "KHR-I025",
        "tracker pages are allocated",
        "In khorig's page allocator every tracker node is an allocated page.",
        "A freed node is still linked; the next user of the page overwrites the tracker.",
        ("R10", "E16"),
        "Check the error path of node allocation.",
        needs="frame table",
    ),
    Rule(
        "KHR-I072",
        "the frame table is readable",
        "The frame table of khorig's page allocator, as reported by the guest, is in RAM.",
        "Without it the allocator's state of a page is unknown.",
        (),
        "The sidecar of an image holds the guest's event `memory`.",
        (("frames", ANY),),
    ),
    Rule(
        "KHR-I026",
        "chunks hold no more bitmaps than fit",
        "In kho-v1 a chunk is one page, and its count is at most the number of entries that fit.",
        "With a larger count the receiver reads the next page as bitmaps.",
        ("S5", "A2"),
        "Look for a reused page.",
        (("node", "chunk-count"),),
        needs="kho-v1",
    ),
    Rule(
        "KHR-I027",
        "bitmaps start at an aligned block",
        "In kho-v1 the start address of a bitmap is aligned to its order.",
        "Otherwise every bit of the bitmap stands for a shifted block.",
        ("A2", "R3"),
        "Compare with the order of the chunk.",
        (("node", "chunk-first"),),
        needs="kho-v1",
    ),
    Rule(
        "KHR-I028",
        "the bitmap size is unambiguous",
        "In kho-v1 the addresses and bits of the bitmaps show whether each has 512 bytes or one "
        "page.",
        "The size changed without a new version name. A kernel with the other size reads memory "
        "behind the bitmap as bits, or misses 7/8 of it.",
        ("A2",),
        "Find the sender's release: 512 bytes up to 6.17.9, one page from 6.17.10 and 6.18.",
        needs="kho-v1",
        level=Level.WARNING,
    ),
)  # fmt: skip
