# SPDX-License-Identifier: BSD-3-Clause
"""The root page, what names it, and the links in it."""

from __future__ import annotations

from khorig.rules.rule import Level, Rule

ROOT_RULES = (
    Rule(
        "KHR-I001",
        "the root is a page-aligned FDT in RAM",
        "The root address is page-aligned, inside RAM, and the page starts with a complete "
        "flattened device tree, version 17.",
        "Linux maps one page and parses it before memory management and console are up. Garbage "
        "there causes a silent fault.",
        ("A10", "S4"),
        "Compare with the boot parameters: `khorig inspect` prints how the root was found. A "
        "byte-swapped address is S4; other content means the page was freed and reused.",
        (
            ("root", "unaligned"), ("root", "outside-ram"), ("root", "fdt-magic"),
            ("root", "fdt-structure"),
        ),
    ),
    Rule(
        "KHR-I002",
        "the root FDT fits in one page",
        "totalsize is between the header size and the page size.",
        "The receiver maps exactly one page. All clients share it, and a client that did not fit "
        "may have left half a node.",
        ("R9", "A10"),
        "`khorig inspect --dts` shows the size of each client; move large state to a separate "
        "fragment.",
        (("root", "fdt-total-size"),),
    ),
    Rule(
        "KHR-I003",
        "the root's version is known",
        "`compatible` of the root is a NUL-terminated string naming a known version.",
        "There is no negotiation. A kernel of another version drops the handover and frees all "
        "preserved memory.",
        ("A1", "A2", "A8"),
        "Boot a receiver of the same version. `khorig inspect --fdt ADDRESS --dts` shows a root "
        "of any version.",
        (("root", "compatible-missing"), ("root", "compatible-mismatch")),
    ),
    Rule(
        "KHR-I004",
        "the root points to a tracker",
        "`preserved-memory-map` has 8 bytes and is not 0.",
        "Without a tracker no page is known to be preserved. Linux checked this only after "
        "switching to scratch, too late to back out.",
        ("E11", "A10"),
        "Check the order in which the sender writes the root: the tracker's address is known only "
        "after the first page is preserved.",
        (("root", "map-missing"), ("root", "property-size"), ("node", "radix-null")),
    ),
    Rule(
        "KHR-I005",
        "the root page is preserved",
        "The tracker contains the root page.",
        "The receiver reads the root again once its allocator is up. A page that was not "
        "preserved has been reused by then.",
        ("S1",),
        "Preserve the page when it is allocated. In a dump of a kernel that has restored the "
        "handover, this marks a stale root; `--generation` selects another.",
    ),
    Rule(
        "KHR-I006",
        "the root page is outside scratch",
        "The root page overlaps no scratch area.",
        "The next kernel's image is copied into scratch, and its early allocations come from "
        "there.",
        ("R1", "R2"),
        "Allocate the page from preservable memory, also in a kernel booted by a handover, where "
        "early allocations come from scratch.",
        needs="scratch",
    ),
    Rule(
        "KHR-I007",
        "every client has an address and a size",
        "Each node below the root, and each node with one of the two properties, has both "
        "`preserved-data` and `blob-size`, 8 bytes each in CPU byte order.",
        "Linux refuses a client with a missing property or one of another length; a full root "
        "page leaves half a node.",
        ("R9", "S7", "S4"),
        "Remove the node if one of its properties cannot be added.",
        (("link", "data-missing"), ("link", "blob-size-missing"), ("link", "property-size")),
    ),
    Rule(
        "KHR-I008",
        "client data is in RAM",
        "`preserved-data` is an address in RAM.",
        "The receiver maps it unchecked.",
        ("A10", "S4", "T6"),
        "A byte-swapped address is S4, a page frame number instead of an address T6.",
        (("link", "outside-ram"),),
    ),
    Rule(
        "KHR-I009",
        "client data is preserved completely",
        "Every page from `preserved-data` to the end of `blob-size` is in the tracker, and the "
        "size is not 0.",
        "The receiver frees and soon overwrites the unpreserved part; the damage shows up later "
        "and elsewhere.",
        ("S2", "S7"),
        "Preserve before registering, and register the size that was preserved.",
        (("link", "blob-not-preserved"), ("link", "blob-size-range")),
    ),
    Rule(
        "KHR-I010",
        "node names are unique",
        "No two children of a node have the same name.",
        "Readers find the first of two and never see the other; its memory stays pinned.",
        ("R9", "S6"),
        "Remove a client's node before adding it again, e.g. after an aborted handover.",
    ),
    Rule(
        "KHR-I011",
        "the boot parameters hold the root's size",
        "`fdt_size` (x86_64) or the size in `linux,kho-fdt` (arm64) is between the root's "
        "totalsize and the page size.",
        "The receiver maps and reserves that size.",
        ("A10", "G3"),
        "Linux always passes one page.",
        needs="hand-off",
    ),
    Rule(
        "KHR-I012",
        "the boot parameters point to the sealed root",
        "If the image records the root that the kernel sealed, boot parameters in memory point to "
        "that root.",
        "With another address the next kernel boots without a handover, or with that of an "
        "earlier generation.",
        ("G3", "G8"),
        "On arm64 look for two tuples in `linux,kho-fdt`; the receiver uses only one.",
        needs="sealed root",
        level=Level.WARNING,
    ),
)  # fmt: skip
