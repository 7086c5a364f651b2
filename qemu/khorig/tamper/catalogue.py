# SPDX-License-Identifier: BSD-3-Clause
"""Every way to damage a handover, by name."""

from __future__ import annotations

from typing import Mapping

from khorig.tamper.handoff_tamperings import HANDOFF_TAMPERINGS, HandoffTampering
from khorig.tamper.link_tamperings import LINK_TAMPERINGS
from khorig.tamper.radix_tamperings import RADIX_TAMPERINGS
from khorig.tamper.root_tamperings import ROOT_TAMPERINGS
from khorig.tamper.scratch_tamperings import SCRATCH_TAMPERINGS
from khorig.tamper.tampering import Tampering

_EVERY: tuple[Tampering | HandoffTampering, ...] = (
    *HANDOFF_TAMPERINGS,
    *SCRATCH_TAMPERINGS,
    *ROOT_TAMPERINGS,
    *RADIX_TAMPERINGS,
    *LINK_TAMPERINGS,
)

TAMPERINGS: Mapping[str, Tampering | HandoffTampering] = {t.name: t for t in _EVERY}
