# SPDX-License-Identifier: BSD-3-Clause
"""Every way to damage a handover, by name."""

from __future__ import annotations

from typing import Mapping

from khorig.tamper.link_tamperings import LINK_TAMPERINGS
from khorig.tamper.radix_tamperings import RADIX_TAMPERINGS
from khorig.tamper.root_tamperings import ROOT_TAMPERINGS
from khorig.tamper.scratch_tamperings import SCRATCH_TAMPERINGS
from khorig.tamper.tampering import Tampering

TAMPERINGS: Mapping[str, Tampering] = {
    tampering.name: tampering
    for tampering in (
        *ROOT_TAMPERINGS,
        *RADIX_TAMPERINGS,
        *LINK_TAMPERINGS,
        *SCRATCH_TAMPERINGS,
    )
}
