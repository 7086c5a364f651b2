# SPDX-License-Identifier: BSD-3-Clause
"""Classes of owners, and the stops from which their memory must not change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Mapping

from khorig.run.poke.sights import HANDOFF, RUNTIME_SERVICES, SCRATCH_ARRAY
from khorig.run.teeth.moment import Moment

_KHORIG = frozenset({Moment.KHORIG_SEALED, Moment.KHORIG_ENTRY})
_HANDED_OVER = _KHORIG | {Moment.LINUX_SEALED}
_WAITING = frozenset({Moment.KHORIG_SEALED, Moment.LINUX_SEALED})
_KEPT = _KHORIG | {Moment.KHORIG_KEEPS}
_MADE = _HANDED_OVER | {Moment.LINUX_MADE, Moment.KHORIG_RELAYS}
_ALWAYS = frozenset(Moment)
_PAGE = r"( page \d+)?"


@dataclass(frozen=True)
class OwnerClass:
    """Owners of one class."""

    name: str
    owners: str  # regular expression of the owners in findings
    wrong_at: frozenset[Moment]  # stops from which a change is wrong
    moves: bool = False  # moved to another page by the jump

    def owns(self, owner: str) -> bool:
        """Whether an owner is in the class."""
        return re.fullmatch(self.owners, owner) is not None


# A kernel rewrites root, fragments, record, tree, log and ledger between `restored` and `sealed`.
# The hand-off has been read when khorig stops at `entry`, the first line of C++.
_TABLE = (
    OwnerClass("root", r"root", _HANDED_OVER),
    OwnerClass("fragment", r"fragment /.*", _HANDED_OVER | {Moment.LINUX_MADE}),
    OwnerClass("node", r"radix node .*", _HANDED_OVER),
    OwnerClass("hand-off", HANDOFF, _WAITING, moves=True),
    OwnerClass("scratch-array", SCRATCH_ARRAY, _HANDED_OVER, moves=True),
    OwnerClass("record", r"kexec-metadata", _HANDED_OVER | {Moment.LINUX_MADE}),
    OwnerClass("block", r"block \d+ .*", _KEPT),
    OwnerClass("store", r"khorig/stores/(?!ledger)\S+" + _PAGE, _KEPT),
    OwnerClass("store-chunk", r"khorig/stores/\S+ chunk" + _PAGE, _KHORIG),
    OwnerClass("archive", r"khorig/archive" + _PAGE, _KEPT),
    OwnerClass("log", r"khorig/log" + _PAGE, _KHORIG),
    OwnerClass("ledger", r"khorig/stores/ledger" + _PAGE, _KHORIG),
    OwnerClass("memblock", r"memblock/\S+" + _PAGE, _ALWAYS),
    OwnerClass("kho_test-chunk", r"kho_test chunk .*", _MADE),
    OwnerClass("kho_test-array", r"kho_test array .*", _MADE),
    OwnerClass("kho_test-folio", r"kho_test folio .*", _MADE),
    OwnerClass("luo", r"LUO" + _PAGE, _HANDED_OVER | {Moment.KHORIG_RELAYS}),
    OwnerClass("luo-session", r"LUO sessions .*", _HANDED_OVER | {Moment.KHORIG_RELAYS}),
    OwnerClass("luo-file", r"LUO/\S+ files .*", _HANDED_OVER | {Moment.KHORIG_RELAYS}),
    OwnerClass("luo-shared", r"LUO shared state .*", _HANDED_OVER | {Moment.KHORIG_RELAYS}),
    OwnerClass("memfd", r"LUO/\S+/0x[0-9a-f]+ \d+ .*", _HANDED_OVER | {Moment.KHORIG_RELAYS}),
    OwnerClass("memfd-chunk", r"LUO/\S+/0x[0-9a-f]+ chunk .*", _MADE),
    OwnerClass("memfd-array", r"LUO/\S+/0x[0-9a-f]+ array .*", _MADE),
    OwnerClass("memfd-folio", r"LUO/\S+/0x[0-9a-f]+ folio .*", _MADE),
    OwnerClass("runtime-services", RUNTIME_SERVICES, _ALWAYS),
)

CLASSES: Mapping[str, OwnerClass] = {owner_class.name: owner_class for owner_class in _TABLE}
