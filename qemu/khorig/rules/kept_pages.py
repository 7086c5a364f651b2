# SPDX-License-Identifier: BSD-3-Clause
"""What a generation takes over and hands on as it is."""

from __future__ import annotations

import numpy as np

from khorig.kho.blocks import Int64Array
from khorig.rules.finding import Finding
from khorig.rules.page_changes import compare_pages
from khorig.rules.sealed_state import SealedState
from khorig.rules.stop import Stop

CLAUSE = "kept"
# Owners, and beginnings of owners, whose memory is written once and then only handed on.
_CONSTANT = ("khorig/archive", "khorig/stores/blocks", "khorig/stores/generation-", "memblock/")
_CONSTANT_BLOCKS = "block"  # those of a scenario whose content is as its state says have others


def check_kept(stop: Stop, sealed: SealedState, before: SealedState) -> list[Finding]:
    """Every page that nobody has a reason to write to is as the generation before sealed it.

    The ledger cannot tell: it is made anew of what is there, so a stray write between the check of
    what was taken over and the next ledger would be handed on as if it were right."""
    kept = np.intersect1d(_constant_pages(before), _constant_pages(sealed), assume_unique=True)
    was = before.hashes.select(np.isin(before.hashes.frames, kept))
    now = sealed.hashes.select(np.isin(sealed.hashes.frames, kept))
    if not len(was.differing(now)):
        return []
    return compare_pages(stop, before, was, CLAUSE)


def _constant_pages(sealed: SealedState) -> Int64Array:
    owners = sealed.owners
    names = [n for n in owners.names if n.startswith(_CONSTANT) or n == _CONSTANT_BLOCKS]
    return owners.pages_of(*names)
