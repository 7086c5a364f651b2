# SPDX-License-Identifier: BSD-3-Clause
"""A decoder for the state of a client that khorig does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Sequence

from khorig.mem.errors import Problem
from khorig.mem.memory import PhysicalMemory, PhysRange

if TYPE_CHECKING:
    from khorig.kho.clients.scenario_blocks import OwnedBlocks
    from khorig.kho.handover import Handover
    from khorig.kho.vmalloc import Vmalloc

DEFAULT_SUBJECT = "decoder"  # of the problems of decoders outside of the tree


@dataclass(frozen=True, eq=False)
class DecodedClient:
    """What a client left."""

    state: object  # for people and programs; its str is one line
    owned: Sequence[tuple[str, PhysRange]] = ()  # memory that hangs from it, with the owner's name
    problems: Sequence[Problem] = ()
    blocks: Sequence[OwnedBlocks] = ()  # as `owned`, where there may be many
    lists: Sequence[tuple[str, Vmalloc]] = ()  # in vmalloc form, with the name of each


@dataclass(frozen=True)
class ClientDecoder:
    """Reads one subnode of the root.

    `decode` gets the memory and the handover, whose `fragment("/NAME")` or `blob("/NAME")` is what
    the root names. It may raise DecodeError; whatever else it raises is a bug of its own. Both are
    violations of rule KHR-I073.
    """

    name: str  # of the subnode
    decode: Callable[[PhysicalMemory, Handover], DecodedClient]
    subject: str = DEFAULT_SUBJECT  # of its problems; of one outside of the tree always that
