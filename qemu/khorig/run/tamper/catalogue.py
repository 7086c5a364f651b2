# SPDX-License-Identifier: BSD-3-Clause
"""All tamperings, by name."""

from __future__ import annotations

from typing import Mapping

from khorig.run.tamper.handoff_tamperings import HANDOFF_TAMPERINGS, HandoffTampering
from khorig.run.tamper.link_tamperings import LINK_TAMPERINGS
from khorig.run.tamper.radix_tamperings import RADIX_TAMPERINGS
from khorig.run.tamper.root_tamperings import ROOT_TAMPERINGS
from khorig.run.tamper.scratch_tamperings import SCRATCH_TAMPERINGS
from khorig.run.tamper.tampering import Tampering

_EVERY: tuple[Tampering | HandoffTampering, ...] = (
    *HANDOFF_TAMPERINGS,
    *SCRATCH_TAMPERINGS,
    *ROOT_TAMPERINGS,
    *RADIX_TAMPERINGS,
    *LINK_TAMPERINGS,
)

TAMPERINGS: Mapping[str, Tampering | HandoffTampering] = {t.name: t for t in _EVERY}
