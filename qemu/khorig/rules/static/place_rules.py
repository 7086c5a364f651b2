# SPDX-License-Identifier: BSD-3-Clause
"""Scratch, and who owns what."""

from __future__ import annotations

from khorig.rules.rule import ANY, Level, Rule

PLACE_RULES = (
    Rule(
        "KHR-I061",
        "the scratch array can be read",
        "The array has 16 bytes for each of 1 to 64 areas and lies in RAM.",
        "Linux divides the size by 16 and drops the rest; a wrong size loses an area silently.",
        ("G8", "E2"),
        "The array may have been overwritten: the next kernel's image is put into scratch, where the "
        "array lies (E2).",
        (("scratch-array", "scratch-length"), ("scratch-array", "outside-ram")),
        needs="hand-off",
    ),
    Rule(
        "KHR-I062",
        "scratch areas are aligned",
        "Base and size of each area are multiples of the largest block of the allocator (4 MiB at "
        "4 KiB pages).",
        "The buddy allocator merges across the edge into pages that were never initialised.",
        ("E6",),
        "Round up when scratch is set aside.",
        (("scratch", "scratch-unaligned"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I063",
        "scratch areas lie in RAM",
        "Each area that is not empty is inside RAM. In a dump that Linux made of itself a part of an "
        "area may be missing: such a dump never has the crash kernel's own memory.",
        "The receiver adds the areas to its memory without a check.",
        ("G7", "G8", "L2"),
        "A `mem=` that differs between the kernels is G7.",
        (("scratch", "outside-ram"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I064",
        "scratch areas do not overlap",
        "No byte is in two areas.",
        "Two allocations get the same memory.",
        ("G8",),
        "Compare with the areas of the first kernel: they stay the same along a chain.",
        (("scratch", "scratch-overlap"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I065",
        "there is scratch",
        "At least one area is not empty.",
        "The next kernel has no memory to start in.",
        ("E14", "E9"),
        "Before the jump the array may not be in its place yet.",
        (("scratch", "scratch-length"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I066",
        "the first scratch area is low memory",
        "The first area ends at or below 4 GiB.",
        "Devices and boot code that reach no further get their memory from it.",
        ("I4", "E14"),
        "Linux puts low memory first, then the global area, then one for each node.",
        needs="scratch",
        level=Level.WARNING,
    ),
    Rule(
        "KHR-I067",
        "the scratch array lies in scratch",
        "The array is part of what is placed for the next kernel, and that is scratch.",
        "Anywhere else it may be preserved memory that was overwritten, or be overwritten itself.",
        ("L3", "E2"),
        "Look at the placement of segments.",
        needs="hand-off",
        level=Level.WARNING,
    ),
    Rule(
        "KHR-I068",
        "no page has two owners",
        "No preserved page belongs to two clients.",
        "There is no counter: the first who takes the page back frees it under the other.",
        ("R12", "R7"),
        "Both owners are named.",
    ),
    Rule(
        "KHR-I069",
        "what is owned is preserved",
        "Every page that a client's own structures name is in the tracker.",
        "The page is free memory for the next kernel.",
        ("S2", "R8", "R13"),
        "Look for a page that was added after the tracker was closed (R13).",
    ),
    Rule(
        "KHR-I070",
        "every preserved page has an owner",
        "Every preserved page is named by a structure that can be read.",
        "A page that nobody names is never taken back: it is lost at the next hop, or leaks.",
        ("G9", "G5", "R4"),
        "A client that is not known here owns pages this tool cannot see; `--owners` lists them.",
        level=Level.WARNING,
    ),
    Rule(
        "KHR-I071",
        "the dump has every page that was looked for",
        "No page that the handover's structures lead to was left out of the dump.",
        "makedumpfile leaves out what it takes for free, for user space or for the page cache, and "
        "preserved memory is all of these. What hangs behind such a page was not checked.",
        (),
        "Take the dump again with `makedumpfile -d 1`, which leaves out pages of zeros alone.",
        ((ANY, "left-out"),),
        level=Level.WARNING,
    ),
)
