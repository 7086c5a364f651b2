# SPDX-License-Identifier: BSD-3-Clause
"""The state of clients that decoders outside of the tree read."""

from __future__ import annotations

from dataclasses import replace

from khorig.kho.client_decoder import ClientDecoder, DecodedClient
from khorig.kho.codecs import GROUP, Codec
from khorig.kho.handover import Handover
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.memory import PhysicalMemory, PhysRange
from khorig.plugins.table import Table

SUBJECT = "decoder"  # of their problems
_LAST = 1 << 63  # no page frame beyond it fits into an index

DECODERS: Table[ClientDecoder] = Table(
    GROUP, ClientDecoder, lambda decoder: decoder.name, (), beside=(Codec,)
)


def decode_outside(memory: PhysicalMemory, handover: Handover) -> dict[str, DecodedClient]:
    """What each decoder makes of its client, by the name of the client's node in the root; those
    that are absent are left out. Never raises."""
    found = {}
    for node in handover.root.tree.children:
        if node.name in DECODERS:
            found[node.name] = _decode(memory, handover, node.name)
    return found


def _decode(memory: PhysicalMemory, handover: Handover, name: str) -> DecodedClient:
    try:
        decoded = DECODERS[name].decode(memory, handover)
        problems = tuple(replace(problem, subject=SUBJECT) for problem in decoded.problems)
        owned = tuple((str(owner), _area(area)) for owner, area in decoded.owned)
        return replace(decoded, owned=owned, problems=problems)
    except DecodeError as error:
        problem = replace(error.problem, subject=SUBJECT)
    except Exception as error:  # code of somebody else
        text = f"decoder '{name}' of {DECODERS.distribution(name)} raised {error!r}"
        problem = Problem("decoder", handover.root.address, text, SUBJECT)
    return DecodedClient(None, problems=(problem,))


def _area(area: PhysRange) -> PhysRange:
    if not 0 <= area.begin <= area.end <= _LAST:
        raise ValueError(f"memory at {area.begin:#x} of {area.size:#x} bytes")
    return area
