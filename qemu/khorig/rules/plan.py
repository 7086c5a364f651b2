# SPDX-License-Identifier: BSD-3-Clause
"""Which rules apply at which stop of a run."""

from __future__ import annotations

from typing import Iterable

from khorig.guest.khorig_run import LIVE_CPU, KhorigRun
from khorig.guest.spec import KHORIGS, RunSpec
from khorig.rules.protocol import definitions as protocol
from khorig.rules.protocol.scenario import outside_scenario
from khorig.rules.registry import static_rules
from khorig.rules.temporal import definitions as temporal

LIVE_DEVICE_SCENARIO = "live-dma"
SCENARIOS = ("churn", "storm", "recursion")  # state depends on the seed only

# Features that a sealed handover always has (`Rule.needs`).
_ANY = {""}
_RELAYED = {*_ANY, "scratch", "frame table", "kexec-metadata"}
_OWN = {*_RELAYED, "fragment", "list of blocks", "generation", "stores", "log ring"}


def _static(needs: Iterable[str], arch: str) -> tuple[str, ...]:
    there = {*needs, "PC"} if arch == "x86_64" else set(needs)
    return tuple(id for id, rule in static_rules().items() if rule.needs in there)


class Plan:
    """The rules due in each generation of a run, computed stop by stop."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._is_chain = not isinstance(spec, KhorigRun)
        generations = range(1, spec.generations + 1)
        self._has_linux = self._is_chain and any(map(self.is_linux, generations))
        self._is_live = isinstance(spec, KhorigRun) and spec.scenario == LIVE_CPU
        self._of_live_cpu = [protocol.COUNTING] if self._is_live else []
        if isinstance(spec, KhorigRun) and spec.probed:
            self._of_live_cpu.append(protocol.INSIDE)
        self._own = _static(_OWN | {"live CPU"} if self._is_live else _OWN, spec.arch)
        self._relayed = _static(_RELAYED, spec.arch)
        self._linux = _static(_ANY, "")

    def is_linux(self, generation: int) -> bool:
        """Whether a generation's kernel is a Linux."""
        inside = 0 < generation <= self._spec.generations
        return inside and self._spec.kernel_of(generation) not in KHORIGS

    def takes_over(self, generation: int) -> bool:
        """Whether a generation must accept a handover."""
        refuses = generation in self._spec.expected_refusals
        return generation > 1 and not refuses and generation != self._spec.crash_kernel

    def is_compared(self, jump: int) -> bool:
        """Whether pages must be compared across the jump from generation `jump`: always, except to
        a Linux that must refuse the handover and has no stop before its user space."""
        has_entry = "entry" in self._spec.stops_of(jump + 1)
        return self.takes_over(jump + 1) or has_entry or not self.is_linux(jump + 1)

    def due(self, generation: int, at: str) -> tuple[str, ...]:
        """The rules to evaluate at an enabled stop, if the generation reaches it."""
        spec = self._spec
        if at not in spec.stops_of(generation):
            return ()
        firmware = self._of_firmware(generation, at)
        if at == "sealed":
            rules = self._at_sealed(generation) if generation < spec.generations else ()
        elif generation > 1 and "sealed" in spec.stops_of(generation - 1):
            look = {"entry": self._at_entry, "restored": self._at_restored}
            look["settled"] = self._at_settled
            rules = look[at](generation) if at in look else ()
        else:
            rules = ()
        modes = (protocol.MODES,) if rules and self._has_modes(generation, at) else ()
        maps = (temporal.RAM_OF_COLD_BOOT,) if self._has_map(generation, at) else ()
        return (*firmware, *rules, *modes, *maps) if rules or generation == 1 else rules

    def _has_modes(self, generation: int, at: str) -> bool:
        is_own = self._spec.arch == "x86_64" and not self.is_linux(generation)
        return is_own and at in ("restored", "sealed")

    def _has_map(self, generation: int, at: str) -> bool:
        """Whether a kernel's memory map is looked at here, in a chain where the first one's is as
        well. UEFI's is in other words for each kind of kernel."""
        told = self.is_linux(1) and self.is_linux(generation)
        if not self._has_linux or (self._spec.boot == "uefi" and not told):
            return False
        return self._map_stop(1) is not None and at == self._map_stop(generation)

    def _map_stop(self, generation: int) -> str | None:
        stops = self._spec.stops_of(generation)
        wanted = ("restored", "sealed") if self.is_linux(generation) else ("entry",)
        return next((at for at in wanted if at in stops), None)

    def _of_firmware(self, generation: int, at: str) -> tuple[str, ...]:
        """The first kernel reports the regions of runtime services after its `entry`, and has no
        `restored` unless it is a Linux."""
        first = generation == 1 and not self.is_linux(generation)
        if self._spec.boot != "uefi" or (first and at == "restored"):
            return ()
        rules = [temporal.FIRMWARE_TABLES, temporal.FIRMWARE_HEADERS]
        if not self.is_linux(1) and (generation > 1 or at == "sealed"):
            rules.append(temporal.RUNTIME_SERVICES)
        if at == "entry" and not self.is_linux(generation):
            rules.append(temporal.FIRMWARE_MAP)
            if generation > 1 and self._spec.arch == "x86_64":
                rules.append(temporal.RSDP_HANDED_ON)
        return tuple(rules)

    def _at_sealed(self, generation: int) -> tuple[str, ...]:
        if self.is_linux(generation):
            if not self.takes_over(generation + 1):
                return ()
            ran = "restored" in self._spec.stops_of(generation)
            return (*self._linux, *((temporal.PAGES_HANDED_ON,) if ran else ()))
        always = (
            protocol.SEGMENTS,
            protocol.TRANSITION,
            protocol.RAM_USED,
            *self._nodes(generation),
        )
        if self._is_chain:
            relayed = (temporal.SUBTREES_RELAYED, temporal.BLOCKS_RELAYED, temporal.PAGES_RELAYED)
            return (*always, *self._relayed, *(relayed if self.takes_over(generation) else ()))
        rules = [*always, *self._own, protocol.SEALED_COUNTS, protocol.LEDGER]
        if isinstance(self._spec, KhorigRun) and self._has_rule(self._spec):
            rules.append(protocol.SCENARIO)
        if self._has_live_device:
            rules.append(protocol.LIVE_DEVICE)
        if self.takes_over(generation):
            rules.append(temporal.PAGES_HANDED_ON)
        if self._spec.smp > 1:
            rules.append(protocol.CPUS_ONLINE)
        return tuple(rules)

    def _nodes(self, generation: int) -> tuple[str, ...]:
        """A Linux before may have been built without NUMA."""
        before = range(1, generation)
        is_due = self._spec.numa and not any(map(self.is_linux, before))
        return (protocol.NODES,) if is_due else ()

    @property
    def _has_live_device(self) -> bool:
        spec = self._spec
        return isinstance(spec, KhorigRun) and spec.scenario == LIVE_DEVICE_SCENARIO

    @staticmethod
    def _has_rule(spec: KhorigRun) -> bool:
        return spec.scenario in SCENARIOS or outside_scenario(spec) is not None

    def _at_entry(self, generation: int) -> tuple[str, ...]:
        seen = self._spec.arch == "arm64" and "entry" in self._spec.stops_of(generation - 1)
        return (*self._at_jump(generation), *((protocol.LEVEL,) if seen else ()))

    def _at_jump(self, generation: int) -> tuple[str, ...]:
        if generation == self._spec.crash_kernel:
            return ()
        if self.is_linux(generation - 1):
            taken = self.takes_over(generation)  # else it may be corrupted
            if self.is_linux(generation):
                return (temporal.PAGES_ACROSS_JUMP, temporal.TRACKER_ACROSS_JUMP)
            return (temporal.PAGES_ACROSS_JUMP, *(self._linux if taken else ()))
        rules = [temporal.PAGES_ACROSS_JUMP, temporal.TRACKER_ACROSS_JUMP]
        # A Linux does not report where its boot parameters lie; a handover that is to be refused
        # may have been corrupted by the host.
        if self.takes_over(generation) and not self.is_linux(generation):
            rules.append(temporal.HANDOFF)
        if self._spec.smp > 1 and not self._is_chain:
            rules.append(protocol.CPUS_PARKED)
        rules += self._of_live_cpu
        rules.append(protocol.DEVICES_OFF)
        if not self._is_chain:
            rules.append(protocol.ENTERED)
        if self._has_live_device:
            rules += [protocol.LIVE_DEVICE, temporal.LIVE_PAGE]
        return tuple(rules)

    def _at_settled(self, generation: int) -> tuple[str, ...]:
        return (temporal.SETTLED,) if self.takes_over(generation) else ()

    def _at_restored(self, generation: int) -> tuple[str, ...]:
        if generation == self._spec.crash_kernel:
            entered = "entry" in self._spec.stops_of(generation)
            return (protocol.CRASH_HEADERS, *((temporal.CRASH_MEMORY,) if entered else ()))
        if not self.takes_over(generation):
            return ()
        if self.is_linux(generation):
            return (temporal.PAGES_UNDER_LINUX,)
        looks = "entry" in self._spec.stops_of(generation)
        found = (protocol.FOUND,) if looks else ()
        if self._is_chain:
            return (temporal.PAGES_UNTIL_RESTORED, *found)
        rules = [
            temporal.PAGES_UNTIL_RESTORED,
            temporal.BLOCKS_RESTORED,
            temporal.SCRATCH_INHERITED,
            protocol.RESTORED_COUNTS,
        ]
        if self._has_live_device:
            rules += [protocol.LIVE_DEVICE, temporal.LIVE_PAGE]
        rules += self._of_live_cpu
        if self._spec.smp > 1:
            rules.append(protocol.CPUS_ONLINE)
        return (*rules, *found)
