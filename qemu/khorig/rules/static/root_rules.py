# SPDX-License-Identifier: BSD-3-Clause
"""The root page, what names it, and the links in it."""

from __future__ import annotations

from khorig.rules.rule import Level, Rule

ROOT_RULES = (
    Rule(
        "KHR-I001",
        "the root is a device tree at the start of a page",
        "The address that is handed over is that of a page in RAM, and the page starts with a whole "
        "flattened device tree of version 17.",
        "Linux maps one page and reads it before it has memory management or a console. Garbage "
        "there ends in a fault that nobody sees.",
        ("A10", "S4"),
        "Compare the address with the hand-off: `khorig inspect` says who names the root. A "
        "byte-swapped address is S4; a page with other content was freed and used again.",
        (
            ("root", "unaligned"), ("root", "outside-ram"), ("root", "fdt-magic"),
            ("root", "fdt-structure"),
        ),
    ),
    Rule(
        "KHR-I002",
        "the root fits into one page",
        "The device tree's totalsize is at least that of its header and at most a page.",
        "The receiver maps exactly one page. All clients share it, so it fills up as clients are "
        "added, and a client that did not fit may have left half a node.",
        ("R9", "A10"),
        "See `khorig inspect --dts` for how much each client takes; a client with much state links to "
        "a fragment of its own.",
        (("root", "fdt-total-size"),),
    ),
    Rule(
        "KHR-I003",
        "the version is one that is known",
        "The root's `compatible` is a terminated string that names a known version.",
        "There is no negotiation. A kernel of another version drops the handover and takes all "
        "preserved memory for free memory.",
        ("A1", "A2", "A8"),
        "Boot a receiver of the same version, or read on: `khorig inspect --fdt ADDRESS --dts` "
        "shows the root whatever its version is.",
        (("root", "compatible-missing"), ("root", "compatible-mismatch")),
    ),
    Rule(
        "KHR-I004",
        "the root points to a tracker",
        "`preserved-memory-map` has 8 bytes and is not 0.",
        "Without a tracker no page is known to be preserved. Linux checked this only after it had "
        "switched to scratch, and was left in between.",
        ("E11", "A10"),
        "Look at the order in which the sender writes the root: the tracker's address is known only "
        "after the first page was preserved.",
        (("root", "map-missing"), ("root", "property-size"), ("node", "radix-null")),
    ),
    Rule(
        "KHR-I005",
        "the root page is preserved",
        "The tracker has the root's own page.",
        "The receiver reads the root again when its allocator is up. A page nobody preserved "
        "belongs to somebody else by then.",
        ("S1",),
        "Preserve the page when it is allocated. In a dump of a kernel that has taken the handover "
        "back this is how a stale root looks; `--generation` picks another.",
    ),
    Rule(
        "KHR-I006",
        "the root page is outside scratch",
        "No byte of the root page lies in a scratch area.",
        "The next kernel's image is copied into scratch, and its first allocations come from there.",
        ("R1", "R2"),
        "Allocate the page where pages to be preserved come from, also on a kernel that was itself "
        "booted by a handover: early allocations come from scratch there.",
        needs="scratch",
    ),
    Rule(
        "KHR-I007",
        "every client says where its state is and how long",
        "Each node below the root, and each node that has one of the two properties, has both "
        "`preserved-data` and `blob-size`, of 8 bytes in the byte order of the CPU.",
        "Linux refuses a client with a property that is missing or of another length; a device tree "
        "in a full page is left with half a node.",
        ("R9", "S7", "S4"),
        "Undo the node when one of its properties cannot be added.",
        (("link", "data-missing"), ("link", "blob-size-missing"), ("link", "property-size")),
    ),
    Rule(
        "KHR-I008",
        "what a client points to is RAM",
        "`preserved-data` is the address of memory that the machine has.",
        "The receiver maps it without a check.",
        ("A10", "S4", "T6"),
        "A byte-swapped address is S4, a page frame number in place of an address T6.",
        (("link", "outside-ram"),),
    ),
    Rule(
        "KHR-I009",
        "what a client points to is preserved, to its last page",
        "Every page from `preserved-data` to the end of `blob-size` is in the tracker, and the size "
        "is not 0.",
        "The part that is not preserved is free memory for the receiver and overwritten soon, which "
        "shows only later and elsewhere.",
        ("S2", "S7"),
        "Preserve before registering, and register the size that was preserved.",
        (("link", "blob-not-preserved"), ("link", "blob-size-range")),
    ),
    Rule(
        "KHR-I010",
        "names are unique",
        "No two nodes of one parent have the same name.",
        "A reader finds the first of two and never sees the other; its memory stays pinned.",
        ("R9", "S6"),
        "Remove a client's node before it is added again, as after a hand-over that was called off.",
    ),
    Rule(
        "KHR-I011",
        "the hand-off gives the root's size",
        "`fdt_size` (x86_64) or the size in `linux,kho-fdt` (arm64) is at least the root's totalsize "
        "and at most a page.",
        "The receiver maps and reserves as much as it is told.",
        ("A10", "G3"),
        "Linux gives one page, always.",
        needs="hand-off",
    ),
    Rule(
        "KHR-I012",
        "the hand-off names the root that was sealed",
        "Where the image says which root the kernel sealed, something in memory names that root for "
        "the next kernel.",
        "A kernel that is told another address boots as if there had been no handover, or with the "
        "handover of an earlier generation.",
        ("G3", "G8"),
        "On arm64 look for two tuples in `linux,kho-fdt`; the receiver ignores all but one.",
        needs="sealed root",
        level=Level.WARNING,
    ),
)  # fmt: skip
