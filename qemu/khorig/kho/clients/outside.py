# SPDX-License-Identifier: BSD-3-Clause
"""The state of clients that decoders read: those of formats/, and those outside of the tree."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable

from khorig.kho.client_decoder import DEFAULT_SUBJECT, ClientDecoder, DecodedClient
from khorig.kho.clients.formats.discovery import all_formats
from khorig.kho.clients.luo_decoder import LuoDecoder, LuoState
from khorig.kho.codecs import GROUP, Codec
from khorig.kho.handover import Handover
from khorig.kho.version import Version
from khorig.mem.errors import DecodeError, Problem
from khorig.mem.memory import PhysicalMemory, PhysRange
from khorig.plugins.table import Table

_LAST = 1 << 63  # no page frame beyond it fits into an index

DECODERS: Table[ClientDecoder] = Table(
    GROUP,
    ClientDecoder,
    lambda decoder: decoder.name,
    [f for f in all_formats() if isinstance(f, ClientDecoder)],
    beside=(Codec, LuoDecoder),
)
LUO_DECODERS: Table[LuoDecoder] = Table(
    GROUP,
    LuoDecoder,
    lambda decoder: decoder.name,
    [f for f in all_formats() if isinstance(f, LuoDecoder)],
    beside=(Codec, ClientDecoder),
)


def decode_outside(memory: PhysicalMemory, handover: Handover) -> dict[str, DecodedClient]:
    """What each decoder makes of its client, by the name of the client's node in the root; those
    that are absent are left out. Never raises."""
    found = {}
    for node in handover.root.tree.children:
        if node.name in DECODERS:
            found[node.name] = _decode(memory, handover, node.name)
    return found


def decode_luo(name: str, state: LuoState) -> DecodedClient | None:
    """What a decoder makes of what LUO carries, by `compatible` of a file or the name of a shared
    state; None for what no decoder is for. Never raises."""
    version = Version.of(name)
    if not version.is_readable or version.base not in LUO_DECODERS:
        return None
    decoder = LUO_DECODERS[version.base]
    distribution = LUO_DECODERS.distribution(version.base)
    return _run(lambda: decoder.decode(state), decoder, distribution, state.data)


def _decode(memory: PhysicalMemory, handover: Handover, name: str) -> DecodedClient:
    decoder, distribution = DECODERS[name], DECODERS.distribution(name)
    at = handover.root.address
    return _run(lambda: decoder.decode(memory, handover), decoder, distribution, at)


def _run(
    decode: Callable[[], DecodedClient],
    decoder: ClientDecoder | LuoDecoder,
    distribution: str,
    at: int,
) -> DecodedClient:
    subject = DEFAULT_SUBJECT if distribution else decoder.subject
    try:
        decoded = decode()
        problems = tuple(replace(problem, subject=subject) for problem in decoded.problems)
        owned = tuple((str(owner), _area(area)) for owner, area in decoded.owned)
        return replace(decoded, owned=owned, problems=problems)
    except DecodeError as error:
        problem = replace(error.problem, subject=subject)
    except Exception as error:  # code of somebody else
        if not distribution:
            raise
        text = f"decoder '{decoder.name}' of {distribution} raised {error!r}"
        problem = Problem("decoder", at, text, subject)
    return DecodedClient(None, problems=(problem,))


def _area(area: PhysRange) -> PhysRange:
    if not 0 <= area.begin <= area.end <= _LAST:
        raise ValueError(f"memory at {area.begin:#x} of {area.size:#x} bytes")
    return area
