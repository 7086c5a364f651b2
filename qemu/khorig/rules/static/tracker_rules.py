# SPDX-License-Identifier: BSD-3-Clause
"""The tracker: which blocks are preserved."""

from __future__ import annotations

from khorig.rules.rule import ANY, Level, Rule

TRACKER_RULES = (
    Rule(
        "KHR-I013",
        "nodes of the tracker are pages",
        "Every pointer in the tracker is a multiple of the page size.",
        "The receiver follows pointers without a check, before it has a console.",
        ("A10", "R10"),
        "The address is that of the pointer. A table that holds text or code was freed while "
        "something pointed to it.",
        (("node", "unaligned"),),
    ),
    Rule(
        "KHR-I014",
        "nodes of the tracker lie in RAM",
        "Every pointer in the tracker is that of memory which the machine has.",
        "The receiver follows pointers without a check.",
        ("A10", "R10", "A4"),
        "If all pointers are wild, look at the page size: nothing in the format says it (A4).",
        (("node", "outside-ram"),),
    ),
    Rule(
        "KHR-I015",
        "no node of the tracker is reached twice",
        "The tracker is a tree (or a list) without cycles, and no page is part of it twice.",
        "A cycle keeps the receiver busy for ever; a shared leaf marks blocks nobody preserved.",
        ("A10", "S5", "R10"),
        "A page that was freed after a failed allocation and is linked twice is R10.",
        (("node", "radix-cycle"),),
    ),
    Rule(
        "KHR-I016",
        "every key has one order",
        "A key's highest bit is the bit of an order that exists.",
        "The order is read from the highest bit. A key without one, or with one too high, stands for "
        "a block of a size that nobody asked for.",
        ("A3", "A4", "R3"),
        "All keys wrong by the same bits: the two kernels have pages of different sizes, or trees of "
        "different depth (A3).",
        (("node", "order-range"),),
    ),
    Rule(
        "KHR-I017",
        "pages of the tracker are nobody else's",
        "No node is the root page or lies in a preserved block.",
        "The tracker is read once and its pages then given to the allocator; a page that is also "
        "preserved would be used twice.",
        ("E16", "R7"),
        "See who owns the page; the later of the two allocations is the fault.",
        (("node", "overlap"),),
    ),
    Rule(
        "KHR-I018",
        "the tracker is not larger than memory allows",
        "There are no more keys than RAM has pages, and no more nodes than any tracker needs.",
        "Blocks do not overlap, so more of them than pages is garbage that looks like a tracker.",
        ("A10", "A4"),
        "Read with another page size or another root.",
        (("node", "radix-size"),),
    ),
    Rule(
        "KHR-I019",
        "preserved blocks lie in RAM",
        "Every preserved block is inside one range of RAM with all of its pages.",
        "The receiver reserves what it is told. A block that reaches out of RAM comes from a wrong "
        "order, and the pages it was meant for are lost.",
        ("E7", "A3", "A4", "S4"),
        "Order 19 and above at 4 KiB overflow 32 bits (E7).",
        (("block", "outside-ram"),),
    ),
    Rule(
        "KHR-I020",
        "preserved blocks do not overlap",
        "No page is in two preserved blocks.",
        "There is one bit for a block and no counter. Taking one of the blocks back frees pages of "
        "the other.",
        ("R12", "R4"),
        "An order that differs between preserving and taking back leaves such a block behind (R4).",
        (("block", "overlap"),),
    ),
    Rule(
        "KHR-I021",
        "no preserved block touches scratch",
        "No page of a preserved block lies in a scratch area.",
        "Scratch is where the next kernel's image is put and where it allocates first: the page is "
        "overwritten before anybody can notice.",
        ("R1", "G1", "E15"),
        "In a chain look at generations after the first: early allocations of a kernel booted by a "
        "handover come from scratch (R2, G1).",
        (("block", "inside-scratch"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I022",
        "no node of the tracker touches scratch",
        "No page of the tracker lies in a scratch area.",
        "The tracker must stay whole until the next kernel has read it.",
        ("R2", "E16"),
        "Take the tracker's pages from the same place as pages to be preserved, never from a pool "
        "that was filled early.",
        (("node", "inside-scratch"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I023",
        "nothing below 1 MiB is preserved",
        "On a PC no preserved block and no node of the tracker lies below 1 MiB.",
        "Real-mode trampolines and firmware write there on every boot.",
        ("E4",),
        "Keep memory below 1 MiB out of the allocator.",
        needs="PC",
    ),
    Rule(
        "KHR-I024",
        "preserved blocks are allocated blocks",
        "For khorig's page allocator every preserved block is one allocated block of the same order.",
        "A preserved page that is free is handed out again; a block preserved with another order "
        "than it was allocated with cannot be given back whole.",
        ("R4", "R5", "R7", "R11"),
        "The entry of the frame table says what the allocator took the page for.",
        needs="frame table",
    ),
    Rule(
        "KHR-I025",
        "pages of the tracker are allocated",
        "For khorig's page allocator every node is an allocated page.",
        "A node that was freed is still linked, and whoever gets the page writes over the tracker.",
        ("R10", "E16"),
        "Look at what happens when allocating a node fails half-way.",
        needs="frame table",
    ),
    Rule(
        "KHR-I072",
        "the frame table can be read",
        "The table of khorig's page allocator, whose place the guest names, lies in RAM.",
        "Without it nothing tells what the allocator takes a page for.",
        (),
        "The description of an image has what the guest printed in its event `memory`.",
        (("frames", ANY),),
    ),
    Rule(
        "KHR-I026",
        "chunks hold no more bitmaps than fit",
        "In kho-v1 a chunk is a page, and its count is at most what the page has room for.",
        "A larger count makes the receiver read the next page as bitmaps.",
        ("S5", "A2"),
        "Look for a page that was used again.",
        (("node", "chunk-count"),),
        needs="kho-v1",
    ),
    Rule(
        "KHR-I027",
        "bitmaps start at a block",
        "In kho-v1 the address that the first bit of a bitmap stands for is aligned to its order.",
        "All bits of the bitmap stand for blocks that are shifted against those that were preserved.",
        ("A2", "R3"),
        "Compare with the order of the chunk.",
        (("node", "chunk-first"),),
        needs="kho-v1",
    ),
    Rule(
        "KHR-I028",
        "it can be told how large bitmaps are",
        "In kho-v1 where the bitmaps lie and which bits they have tells whether each has 512 bytes "
        "or a page.",
        "The size changed under the same name. A kernel with the other size reads memory behind the "
        "bitmap as bits, or misses seven eighths of it.",
        ("A2",),
        "Find out the release of the sender: 512 bytes up to 6.17.9, a page from 6.17.10 and 6.18.",
        needs="kho-v1",
        level=Level.WARNING,
    ),
)  # fmt: skip
