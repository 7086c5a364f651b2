# SPDX-License-Identifier: BSD-3-Clause
"""Plans the attempts, from an unmodified run."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from typing import Iterator, Mapping, Sequence

from khorig.guest.chain_run import is_linux
from khorig.guest.poke import Poke
from khorig.guest.spec import RunSpec
from khorig.run.poke.place import Place, offset_of, without_number
from khorig.run.teeth.classes import CLASSES, OwnerClass
from khorig.run.teeth.limits import SESSIONS, limit_of
from khorig.run.teeth.moment import Moment, moment_of

_PAGE = 4096
_LINUX = (Moment.LINUX_MADE, Moment.LINUX_SEALED)
_STOPS = ("entry", "restored", "sealed")  # in the order of a generation

Places = Mapping[tuple[int, str], Sequence[Place]]


@dataclass(frozen=True)
class Attempt:
    """One run with one changed byte."""

    spec: RunSpec
    owner_class: str
    poke: Poke
    why: str  # why a change there is wrong
    owner: str  # owner of the byte in the unmodified run
    moved: frozenset[int] = frozenset()  # pages the jump moves the byte to


@dataclass(frozen=True)
class OutOfReach:
    """A change not covered by any rule yet."""

    owner_class: str
    generation: int
    stop: str
    why: str


@dataclass(frozen=True)
class Plan:
    """The attempts for one specification, in the order of the run."""

    spec: RunSpec
    attempts: tuple[Attempt, ...]
    out_of_reach: tuple[OutOfReach, ...]


def make_plan(spec: RunSpec, places: Places, classes: Sequence[str]) -> Plan:
    """One attempt per class and stop from which its memory must not change. `places`: from an
    unmodified run of `spec`; classes without memory there are omitted."""
    attempts: list[Attempt] = []
    beyond: list[OutOfReach] = []
    owned = _owned(spec, places)
    for generation, at, moment in _moments(spec, places):
        for name in classes:
            if moment not in CLASSES[name].wrong_at or name not in owned:
                continue
            if why := limit_of(spec, moment, generation, name):
                beyond.append(OutOfReach(name, generation, at, why))
            else:
                attempts += _attempts(spec, places, generation, at, moment, CLASSES[name])
    return Plan(spec, tuple(attempts), tuple(beyond))


def _moments(spec: RunSpec, places: Places) -> Iterator[tuple[int, str, Moment]]:
    for generation in range(1, spec.generations + 1):
        for at in _STOPS:
            moment = moment_of(spec, generation, at)
            if moment is not None and (generation, at) in places:
                yield generation, at, moment


def _owned(spec: RunSpec, places: Places) -> set[str]:
    """Classes that own memory at any stop of the run. Sessions between two Linux kernels are
    assumed, as no stop shows them."""
    names = {place.owner for found in places.values() for place in found}
    owned = {name for name, one in CLASSES.items() if any(map(one.owns, names))}
    linuxes = [g for g in range(1, spec.generations + 1) if is_linux(spec.kernel_of(g))]
    return owned | SESSIONS if len(linuxes) > 1 else owned


def _attempts(
    spec: RunSpec,
    places: Places,
    generation: int,
    at: str,
    moment: Moment,
    owner_class: OwnerClass,
) -> Iterator[Attempt]:
    """At most one; none if the class owns nothing."""
    later = [p for p in places.get((generation + 1, "entry"), ()) if owner_class.owns(p.owner)]
    here = [p for p in places[generation, at] if owner_class.owns(p.owner)]
    by_name = bool(here)
    if not by_name and not owner_class.moves and moment in _LINUX:
        here = later  # linked by Linux only on its way down
    if not here:
        return
    chance = random.Random(f"{spec.seed} {owner_class.name} {generation} {at}")
    place = chance.choice(here)
    where: str | int = place.begin
    offset = chance.randrange(place.size)
    if by_name:
        # Without icount block numbers depend on timing, their count does not.
        where = place.owner if spec.counted else without_number(place.owner)
        offset += offset_of(places[generation, at], where, place)
    poke = Poke(generation, at, where, offset)
    moved = later if owner_class.moves else []
    yield Attempt(
        spec=dataclasses.replace(spec, pokes=(poke,)),
        owner_class=owner_class.name,
        poke=poke,
        why=moment.value,
        owner=place.owner,
        moved=frozenset(p.begin // _PAGE * _PAGE for p in moved),
    )
