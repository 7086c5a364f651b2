# SPDX-License-Identifier: BSD-3-Clause
"""A snapshot as JSON. Addresses and 64-bit values are hexadecimal strings."""

from __future__ import annotations

from typing import Any

from khorig.kho.candidates import Candidate
from khorig.kho.client_decoder import DecodedClient
from khorig.kho.clients.linux import LinuxClients
from khorig.kho.snapshot import Snapshot
from khorig.mem.memory import PhysRange
from khorig.out.inspect.client_lines import one_line
from khorig.out.inspect.details import owners_of_blocks, pages_by_owner
from khorig.out.inspect.firmware import firmware_document
from khorig.rules.outcome import Outcome

SCHEMA = 1


def inspection_document(snapshot: Snapshot, pages: bool) -> dict[str, Any]:
    """All output of `khorig inspect`; `pages` adds every preserved block."""
    handover, dump = snapshot.handover, snapshot.dump
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "dump": str(dump.path),
        "format": dump.format,
        "arch": snapshot.arch,
        "machine": dump.machine,
        "release": dump.release,
        "ram": [_range(r) for r in dump.memory.ranges],
        "page_size": snapshot.geometry.page_size,
        "root": hex(snapshot.chosen.address),
        "direction": snapshot.direction or None,
        "version": handover.codec.compatible,
        "candidates": [candidate_document(c) for c in snapshot.candidates],
        "blocks": len(handover.blocks),
        "pages": handover.blocks.page_count,
        "tracker": {"root": hex(handover.tree.root), "nodes": len(handover.tree.nodes)},
        "scratch": None
        if snapshot.scratch is None
        else [_range(area) for area in snapshot.scratch],
        "fragments": [
            {"path": f.path, "address": hex(f.address), "size": f.size, "compatible": f.compatible}
            for f in handover.fragments
        ],
        "blobs": [
            {"path": b.path, "address": hex(b.blob.begin), "size": b.blob.size}
            for b in handover.blobs
        ],
        "clients": _clients(snapshot),
        "owners": [
            {"owner": owner, "pages": count, "first": hex(first)}
            for owner, count, first in pages_by_owner(snapshot)
        ],
    }
    if snapshot.firmware:
        document["firmware"] = firmware_document(snapshot.firmware)
    if dump.run:
        document["generation"] = dump.run.generation
        document["at"] = dump.run.at
    if pages:
        document["preserved"] = _blocks(snapshot)
    return document


def candidate_document(candidate: Candidate) -> dict[str, Any]:
    """A candidate root."""
    return {
        "root": hex(candidate.address),
        "how": list(candidate.how),
        "state": candidate.state,
        "jumps": candidate.generation,
    }


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """A rule and its outcome."""
    return {
        "id": outcome.rule.id,
        "title": outcome.rule.title,
        "status": outcome.status.value,
        "violations": [
            {"address": hex(v.address), "owner": v.owner, "text": v.text}
            for v in outcome.violations
        ],
    }


def _range(area: PhysRange) -> list[str]:
    return [hex(area.begin), hex(area.size)]


def _blocks(snapshot: Snapshot) -> list[list[Any]]:
    blocks, shift = snapshot.handover.blocks, snapshot.geometry.page_shift
    owners = owners_of_blocks(snapshot)
    table = zip(blocks.frames.tolist(), blocks.orders.tolist(), owners)
    return [[hex(frame << shift), order, owner] for frame, order, owner in table]


def _clients(snapshot: Snapshot) -> dict[str, Any]:
    clients = snapshot.clients
    found: dict[str, Any] = {
        name: one_line(client.state) for name, client in snapshot.outside.items()
    }
    if clients.metadata:
        found["kexec-metadata"] = {
            "kexec_count": clients.metadata.kexec_count,
            "previous_release": clients.metadata.previous_release,
        }
    if clients.reserved:
        found["memblock"] = {area.name: _range(area.area) for area in clients.reserved}
    if clients.stores:
        found["stores"] = {name: store.size for name, store in clients.stores.items()}
    return {**found, **_linux(snapshot.linux)}


def _decoded(data: int, decoded: DecodedClient | None) -> dict[str, Any]:
    state = None if decoded is None or decoded.state is None else one_line(decoded.state)
    return {"data": hex(data), "state": state}


def _linux(linux: LinuxClients) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if luo := linux.luo:
        found["LUO"] = {
            "version": luo.compatible,
            "liveupdate_num": luo.liveupdate_num,
            "sessions": {
                session.name: [
                    {
                        "token": hex(file.token),
                        "kind": file.compatible,
                        "size": file.memfd.size if file.memfd else None,
                        "folios": len(file.memfd.folios) if file.memfd else None,
                        **_decoded(file.data, file.decoded),
                    }
                    for file in session.files
                ]
                for session in luo.sessions
            },
            "shared": [
                {"name": flb.name, "files": flb.count, **_decoded(flb.data, flb.decoded)}
                for flb in luo.flbs
            ],
        }
    if test := linux.kho_test:
        found["kho_test"] = {
            "folios": len(test.folios),
            "ok": test.adds_up,
        }
    return found
