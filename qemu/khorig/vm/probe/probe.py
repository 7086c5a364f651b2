# SPDX-License-Identifier: BSD-3-Clause
"""Stops in any kernel, and who stored where."""

from __future__ import annotations

import mmap
import os
import socket
import struct
from typing import Iterable, Sequence

from khorig.mem.guest_ram import GuestRam, RamRegion
from khorig.mem.memory import PhysRange
from khorig.vm.errors import InfraError
from khorig.vm.probe import control_block as block
from khorig.vm.probe.errors import ProbeLimit
from khorig.vm.probe.plugin import ProbeOptions
from khorig.vm.probe.records import Access, AccessKind, Outside, ProbeStop, Store
from khorig.vm.probe.wiring import ProbeWiring

_KINDS = {block.FETCH_STOP: "fetch", block.ADDRESS_STOP: "address"}
_PARTS: dict[AccessKind, str] = {"fetch": "fetches_outside", "store": "stores_outside"}


class Probe:
    """The probe in a running QEMU. Everything is armed while the guest waits at a stop: a CPU that
    runs meanwhile may not see it, or see half of it.

    A stopped CPU holds up QEMU's `stop`, `query-cpus-fast` and whatever else waits for that CPU:
    only memory is read at such a stop.
    """

    def __init__(self, options: ProbeOptions) -> None:
        """For a QEMU that is about to be started."""
        self._options = options
        self._ram: GuestRam | None = None
        self._file = os.memfd_create("khorig-probe", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._file, block.SIZE)
            self._map = mmap.mmap(self._file, block.SIZE)
            self._ours, self._theirs = socket.socketpair()
        except OSError:
            os.close(self._file)
            raise
        self._ours.setblocking(False)
        self._received = b""
        self._inside: dict[AccessKind, tuple[int, list[PhysRange]]] = {}
        self._put("header", 0, block.HEADER, block.MAGIC, block.SIZE, 0, 0)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()
        self._ours.close()
        self._theirs.close()
        os.close(self._file)

    def wiring(self) -> ProbeWiring:
        """What QEMU inherits."""
        flags = (("stores=on", self._options.stores), ("fetches=on", self._options.fetches))
        options = tuple(word for word, wanted in flags if wanted)
        return ProbeWiring(self._options.plugin, self._file, self._theirs.fileno(), options)

    def attach(self, ram: GuestRam, pieces: Sequence[tuple[RamRegion, int]]) -> None:
        """Once QEMU has its end; the guest must not run yet. `ram` outlives the object; `pieces`
        are RamMap's. Raises ProbeLimit."""
        _limit("regions of RAM", len(pieces), block.MAX_REGIONS)
        self._theirs.close()
        self._ram = ram
        for number, (region, reported) in enumerate(pieces):
            if self._options.reports_physical:
                reported = region.gpa
            at = number * block.REGION.size
            fields = (region.gpa, region.size, region.offset, reported)
            self._put("regions", at, block.REGION, *fields)
        self._put("header", block.HEADER.size - 4, struct.Struct("<I"), len(pieces))

    def fileno(self) -> int:
        """Readable when a CPU has stopped."""
        return self._ours.fileno()

    @property
    def closed(self) -> bool:
        """Whether QEMU has closed its end."""
        return self._ours.fileno() < 0

    def receive(self) -> list[ProbeStop]:
        """The stops since the last call; never waits."""
        while not self.closed:
            try:
                got = self._ours.recv(4096)
            except BlockingIOError:
                break
            except OSError:
                got = b""
            if not got:
                self._ours.close()
            self._received += got
        stops = []
        while len(self._received) >= block.STOP_RECORD.size:
            record = self._received[: block.STOP_RECORD.size]
            self._received = self._received[block.STOP_RECORD.size :]
            kind, cpu, pc, physical, count = block.STOP_RECORD.unpack(record)
            where = _physical(physical)
            stops.append(ProbeStop(_KINDS.get(kind, "unknown"), cpu, pc, where, count))
        return stops

    def resume(self) -> None:
        """Lets the stopped CPU go on. With several, the first to have stopped."""
        try:
            self._ours.send(b"g")
        except OSError:
            pass  # QEMU's exit is the next event

    def check(self) -> None:
        """Whether the probe works in this QEMU, once the guest has run. Raises InfraError."""
        state = struct.unpack_from("<I", self._map, block.STATE_OFFSET)[0]
        if state == block.NO_RAM:
            raise InfraError("the probe found no guest RAM in QEMU's mappings")
        if state != block.MAPPED:
            raise InfraError("the probe was not loaded by QEMU")

    def stop_on_fetch(self, ranges: Iterable[PhysRange]) -> None:
        """Stops the first CPU that fetches an instruction from `ranges` at a virtual address that
        equals the physical one, as a kernel that was just jumped to does. Once; no range disarms.
        Raises ProbeLimit."""
        self._arm_ranges("fetch_armed", "fetch", [r for r in ranges if r.size])

    def stop_at(self, *addresses: int) -> None:
        """Stops the first CPU that executes one of these virtual addresses, once; none disarms. A
        block that ran before is not seen: addresses are given before their code first runs, and
        may be given again to stop again. Raises ProbeLimit."""
        _limit("addresses", len(addresses), block.MAX_ADDRESSES)
        self._arm("address_armed", 0, 0)
        for number, address in enumerate(addresses):
            self._put("addresses", number * block.WORD.size, block.WORD, address)
        self._arm("address_armed", bool(addresses), len(addresses))

    def watch(self, frames: Iterable[int]) -> None:
        """Records every store to these page frames of 4 KiB from now on, in place of those watched
        before. Needs a probe with `stores`. Raises ProbeLimit, OutsideGuestRam."""
        assert self._ram is not None and self._options.stores, "a probe without stores"
        wanted = sorted((self._ram.offset(f * block.PAGE, block.PAGE), f) for f in set(frames))
        _limit("pages", len(wanted), block.MAX_PAGES)
        self._arm("watch_armed", 0, 0)
        for number, (offset, frame) in enumerate(wanted):
            self._put("pages", number * block.WORD.size, block.WORD, offset)
            at = block.OFFSETS["shadow"] + number * block.PAGE
            self._map[at : at + block.PAGE] = self._ram.read(frame * block.PAGE, block.PAGE)
        self._put("watched_from", 0, block.WORD, 0)
        self._arm("watch_armed", bool(wanted), len(wanted))

    def stores(self) -> tuple[Store, ...]:
        """The newest recorded stores, at most 65536, in their order."""
        total = self.recorded
        first = max(0, total - block.RING_RECORDS)
        return tuple(s for n in range(first, total) if (s := self._store(n)) is not None)

    @property
    def recorded(self) -> int:
        """Stores recorded so far."""
        return self._word("stores")

    @property
    def dropped(self) -> int:
        """Stores recorded that are no longer in the ring; the oldest."""
        return max(0, self.recorded - block.RING_RECORDS)

    def expect_inside(
        self, kind: AccessKind, ranges: Iterable[PhysRange], cpu: int | None = None
    ) -> None:
        """Counts from now on what `cpu`, or any, fetches from or stores to RAM outside of `ranges`;
        no range: all of it. What is counted already goes on: a CPU that is counting must not see
        fields change. So CPU or ranges may be others only while no CPU of the guest runs. Needs a
        probe with `fetches` or `stores`. Raises ProbeLimit."""
        wanted = self._options.fetches if kind == "fetch" else self._options.stores
        assert wanted, f"a probe without {kind}"
        part, wide = _PARTS[kind], list(ranges)
        _limit("ranges", len(wide), block.MAX_RANGES)
        who = block.ALL_CPUS if cpu is None else cpu
        if self._inside.get(kind) == (who, wide):
            return
        self._inside[kind] = (who, wide)
        self._put(part, 0, block.ABSENCE, 0, who, len(wide), 0, b"")
        for number, area in enumerate(wide):
            at = block.ABSENCE.size + number * block.RANGE.size
            self._put(part, at, block.RANGE, area.begin, area.end)
        self._put(part, 0, struct.Struct("<I"), 1)

    def outside(self, kind: AccessKind) -> Outside:
        """What `expect_inside` has counted."""
        _, _, _, count, first = block.ABSENCE.unpack_from(self._map, block.OFFSETS[_PARTS[kind]])
        return Outside(count, _access(first) if count else None)

    @property
    def instructions(self) -> int:
        """Instructions of all CPUs at the last record; 0 without `stores` and `fetches`."""
        return self._word("instructions")

    @property
    def watched_from(self) -> int:
        """Instructions of all CPUs at the first store after `watch`, wherever it went."""
        return self._word("watched_from")

    def _word(self, part: str) -> int:
        return int(block.WORD.unpack_from(self._map, block.OFFSETS[part])[0])

    def _store(self, number: int) -> Store | None:
        at = block.OFFSETS["ring"] + number % block.RING_RECORDS * block.STORE.size
        sequence, raw, size, before, after = block.STORE.unpack_from(self._map, at)
        if sequence != number + 1:  # being overwritten
            return None
        access = _access(raw)
        assert access.physical is not None
        return Store(
            access.cpu,
            access.pc,
            access.virtual,
            access.physical,
            size,
            before[:size],
            after[:size],
            access.instruction,
        )

    def _arm_ranges(self, flag: str, part: str, ranges: Sequence[PhysRange]) -> None:
        _limit("ranges", len(ranges), block.MAX_RANGES)
        self._arm(flag, 0, 0)
        for number, area in enumerate(ranges):
            self._put(part, number * block.RANGE.size, block.RANGE, area.begin, area.end)
        self._arm(flag, bool(ranges), len(ranges))

    def _arm(self, flag: str, armed: int, count: int) -> None:
        """The count first: the probe reads the flag first."""
        self._put(flag, 4, struct.Struct("<I"), count)
        self._put(flag, 0, struct.Struct("<I"), armed)

    def _put(self, part: str, at: int, form: struct.Struct, *values: object) -> None:
        form.pack_into(self._map, block.OFFSETS[part] + at, *values)


def _limit(what: str, count: int, most: int) -> None:
    if count > most:
        raise ProbeLimit(f"the probe has room for {most} {what}, not {count}")


def _physical(address: int) -> int | None:
    return None if address == block.NO_PHYSICAL else address


def _access(raw: bytes) -> Access:
    cpu, pc, virtual, physical, instruction = block.ACCESS.unpack(raw)
    return Access(cpu, pc, virtual, _physical(physical), instruction)
