# SPDX-License-Identifier: BSD-3-Clause
"""All damages, by name."""

from __future__ import annotations

from typing import Mapping

from khorig.run.damage.client_damages import CLIENT_DAMAGES
from khorig.run.damage.damage import Damage
from khorig.run.damage.firmware_damages import FIRMWARE_DAMAGES
from khorig.run.damage.handoff_damages import HANDOFF_DAMAGES
from khorig.run.damage.list_damages import LIST_DAMAGES
from khorig.run.damage.luo_damages import LUO_DAMAGES
from khorig.run.damage.relay_damages import RELAY_DAMAGES
from khorig.run.damage.tracker_damages import TRACKER_DAMAGES
from khorig.run.tamper.catalogue import TAMPERINGS
from khorig.run.tamper.tampering import Tampering

# What tamperings do between the seal and the next kernel, a defective kernel does before it seals.
_TAMPERINGS = tuple(
    Damage(tampering.name, f"tampering, found as {tampering.cause}", tampering.apply)
    for tampering in TAMPERINGS.values()
    if isinstance(tampering, Tampering)
)
_EVERY = (
    *_TAMPERINGS,
    *TRACKER_DAMAGES,
    *LIST_DAMAGES,
    *CLIENT_DAMAGES,
    *HANDOFF_DAMAGES,
    *FIRMWARE_DAMAGES,
    *LUO_DAMAGES,
    *RELAY_DAMAGES,
)

DAMAGES: Mapping[str, Damage] = {damage.name: damage for damage in _EVERY}
