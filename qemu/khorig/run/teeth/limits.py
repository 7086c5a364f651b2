# SPDX-License-Identifier: BSD-3-Clause
"""Changes that no rule can find yet."""

from __future__ import annotations

from dataclasses import dataclass

from khorig.guest.chain_run import is_linux
from khorig.guest.spec import RunSpec
from khorig.run.teeth.classes import CLASSES
from khorig.run.teeth.moment import Moment


@dataclass(frozen=True)
class Limit:
    """Pokes that cannot be found, with the reason."""

    moments: frozenset[Moment]
    classes: frozenset[str]
    before_linux: bool  # only if the next kernel is a Linux
    why: str


_SEALED = frozenset({Moment.KHORIG_SEALED, Moment.LINUX_SEALED})
_STAYS = frozenset({"memblock", "runtime-services"})  # kept in place by Linux
SESSIONS = frozenset(name for name in CLASSES if name.startswith(("luo", "memfd")))
_WRITTEN_LATE = frozenset({"luo", "luo-session", "luo-file", "luo-shared", "memfd"})

LIMITS = (
    Limit(
        _SEALED,
        frozenset(CLASSES) - _STAYS,
        before_linux=True,
        why="Linux has no stop at its first instruction, and at its first stop it has already "
        "restored and reused the handover",
    ),
    Limit(
        frozenset({Moment.LINUX_MADE}),
        SESSIONS,
        before_linux=True,
        why="a session's memory is not reachable before Linux serializes it on the way down, and "
        "the next Linux has restored it by its first stop",
    ),
    Limit(
        frozenset({Moment.LINUX_SEALED}),
        _WRITTEN_LATE,
        before_linux=False,
        why="Linux serializes its sessions on the way down, after the last user space event",
    ),
    Limit(
        frozenset({Moment.LINUX_SEALED}),
        frozenset({"hand-off"}),
        before_linux=False,
        why="Linux has several copies until the jump; which one is used is unknown",
    ),
)


def limit_of(spec: RunSpec, moment: Moment, generation: int, owner_class: str) -> str:
    """Why a poke cannot be found; "" if it must be."""
    to_linux = generation < spec.generations and is_linux(spec.kernel_of(generation + 1))
    for limit in LIMITS:
        applies = moment in limit.moments and owner_class in limit.classes
        if applies and (to_linux or not limit.before_linux):
            return limit.why
    return ""
