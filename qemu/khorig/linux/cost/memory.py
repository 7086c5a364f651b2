# SPDX-License-Identifier: BSD-3-Clause
"""Pages of a sealed handover that are not what is handed over."""

from __future__ import annotations

import json
import re
from typing import Any, Mapping

from khorig.guest.facts import GuestFacts
from khorig.guest.spec import RunSpec
from khorig.mem.untrusted import count, read_object
from khorig.run.judging import StopContext

_WORD = "metadata "  # before the JSON object in a hook's line
_LARGEST = 4096  # bytes of it
_ARRAY = re.compile(r"LUO/.* (chunk|array)")
_PAYLOAD = re.compile(r"LUO/.* folio")
_AREA = re.compile(r"memblock/cost\d+")


class MetadataHook:
    """Counts them when the first kernel jumps; what it preserves besides is constant."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec

    def __call__(self, context: StopContext) -> list[str]:
        """See khorig.run.judging.StopHook."""
        if context.generation != 1 or context.at != "sealed":
            return []
        from khorig.kho.snapshot import NoHandover, find_snapshot
        from khorig.run.make_stop import make_stop

        try:
            snapshot = find_snapshot(make_stop(context, GuestFacts(), self._spec).dump(None))
        except NoHandover:
            return []  # the judge has a finding
        pages: dict[str, int] = {"tracker": len(snapshot.handover.tree.nodes), "LUO": 0}
        pages |= {"arrays": 0, "payload": 0, "areas": 0}
        for name, owned, _ in snapshot.owners.pages_by_owner():
            pages["areas"] += bool(_AREA.fullmatch(name))
            if (kind := _kind_of(name)) is not None:
                pages[kind] += owned
        pages["blocks"] = len(snapshot.handover.blocks)
        return [_WORD + json.dumps(pages)]


def _kind_of(name: str) -> str | None:
    if _PAYLOAD.fullmatch(name):
        return "payload"
    if _ARRAY.fullmatch(name):
        return "arrays"
    return "LUO" if name.startswith("LUO") else None


def read_metadata(record: Mapping[str, Any]) -> dict[str, int]:
    """From the journal's record of a hook; empty for one of another hook. Raises Untrusted."""
    for line in record.get("lines", ()):
        if isinstance(line, str) and line.startswith(_WORD):
            values = read_object(line.removeprefix(_WORD), _LARGEST)
            return {name: count(value) for name, value in values.items()}
    return {}
