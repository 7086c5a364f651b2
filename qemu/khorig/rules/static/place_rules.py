# SPDX-License-Identifier: BSD-3-Clause
"""Scratch, and who owns what."""

from __future__ import annotations

from khorig.rules.rule import ANY, Level, Rule

PLACE_RULES = (
    Rule(
        "KHR-I061",
        "the scratch array is readable",
        "The array is in RAM and has 16 bytes for each of 1 to 64 areas.",
        "Linux divides the size by 16 and drops the remainder; a wrong size silently loses an "
        "area.",
        ("G8", "E2"),
        "The array may have been overwritten: it is in scratch, where the next kernel's image is "
        "placed (E2).",
        (("scratch-array", "scratch-length"), ("scratch-array", "outside-ram")),
        needs="hand-off",
    ),
    Rule(
        "KHR-I062",
        "scratch areas are aligned",
        "Base and size of each area are multiples of the largest buddy block (4 MiB with 4 KiB "
        "pages).",
        "The buddy allocator merges across the boundary into uninitialized pages.",
        ("E6",),
        "Round up when reserving scratch.",
        (("scratch", "scratch-unaligned"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I063",
        "scratch areas are in RAM",
        "Each non-empty area is in RAM. A dump made by Linux itself may have a hole there: it "
        "excludes the crash kernel's memory.",
        "The receiver adds the areas to its memory unchecked.",
        ("G7", "G8", "L2"),
        "A `mem=` that differs between the kernels is G7.",
        (("scratch", "outside-ram"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I064",
        "scratch areas do not overlap",
        "No byte is in two areas.",
        "Two allocations would get the same memory.",
        ("G8",),
        "Compare with the first kernel's areas: they are constant along a chain.",
        (("scratch", "scratch-overlap"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I065",
        "there is scratch",
        "At least one area is not empty.",
        "Without it the next kernel has no memory to boot in.",
        ("E14", "E9"),
        "Before the jump the array may not be written yet.",
        (("scratch", "scratch-length"),),
        needs="scratch",
    ),
    Rule(
        "KHR-I066",
        "the first scratch area is below 4 GiB",
        "The first area ends at or below 4 GiB.",
        "Boot code and devices limited to 32-bit addresses allocate from it.",
        ("I4", "E14"),
        "Linux orders the areas: low memory, global, then one per node.",
        needs="scratch",
        level=Level.WARNING,
    ),
    Rule(
        "KHR-I067",
        "the scratch array is in scratch",
        "The array is part of the next kernel's segments, which are in scratch.",
        "Elsewhere it may have overwritten preserved memory, or be overwritten itself.",
        ("L3", "E2"),
        "Check the placement of segments.",
        needs="hand-off",
        level=Level.WARNING,
    ),
    Rule(
        "KHR-I068",
        "no page has two owners",
        "No preserved page belongs to two clients.",
        "There is no refcount: the first owner to restore the page frees it under the other.",
        ("R12", "R7"),
        "The message names both owners.",
    ),
    Rule(
        "KHR-I069",
        "owned pages are preserved",
        "Every page referenced by a client's structures is in the tracker.",
        "The next kernel uses the page as free memory.",
        ("S2", "R8", "R13"),
        "Look for a page added after the tracker was closed (R13).",
    ),
    Rule(
        "KHR-I070",
        "every preserved page has an owner",
        "Every preserved page is referenced by a readable structure.",
        "A page without an owner is never restored: it is lost at the next jump, or leaks.",
        ("G9", "G5", "R4"),
        "Clients unknown to this tool own pages that it cannot attribute; `--owners` lists them.",
        level=Level.WARNING,
    ),
    Rule(
        "KHR-I071",
        "the dump contains every page needed",
        "No page referenced by the handover's structures is missing from the dump.",
        "makedumpfile excludes pages that look like free memory, user data or page cache, and "
        "preserved memory may be any of these. Structures behind a missing page were not checked.",
        (),
        "Save the dump with `makedumpfile -d 1`, which excludes only zero pages.",
        ((ANY, "left-out"),),
        level=Level.WARNING,
    ),
    Rule(
        "KHR-I073",
        "external decoders read their clients",
        "A decoder added by an entry point decodes its client without problems.",
        "Pages it does not decode have no owner.",
        (),
        "The message names the decoder and its distribution.",
        (("decoder", ANY),),
        needs="outside decoder",
    ),
)
