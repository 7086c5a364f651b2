# SPDX-License-Identifier: BSD-3-Clause
"""Decoders for what the Live Update Orchestrator carries for others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Mapping

from khorig.kho.client_decoder import DEFAULT_SUBJECT, DecodedClient
from khorig.mem.memory import PhysicalMemory

if TYPE_CHECKING:
    from khorig.kho.clients.lists import ListReader
    from khorig.kho.handover import Handover


@dataclass(frozen=True, eq=False)
class LuoState:
    """What LUO knows of a file or of a state that files share (FLB)."""

    memory: PhysicalMemory
    handover: Handover
    lists: ListReader  # of all of LUO
    owner: str  # what names of owners begin with: "LUO/vm/0x21", "LUO shared state/pci-v2"
    data: int  # the handler's own: most have a physical address here
    kinds: Mapping[int, str]  # of the files of the session, by token; none of a shared state


@dataclass(frozen=True)
class LuoDecoder:
    """Reads the state of one file handler or one shared state.

    `decode` may raise DecodeError; whatever a decoder outside of the tree raises is a bug of its
    own. Both are violations of the rule that `subject` leads to.
    """

    name: str  # `compatible` of the handler, name of the shared state
    decode: Callable[[LuoState], DecodedClient]
    subject: str = DEFAULT_SUBJECT  # of its problems; of one outside of the tree always that
