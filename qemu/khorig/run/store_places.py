# SPDX-License-Identifier: BSD-3-Clause
"""Which kernel made a store."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from khorig.guest.chain_run import is_linux
from khorig.guest.event import GuestEvent
from khorig.guest.spec import RunSpec
from khorig.vm.probe.records import Store
from khorig.vm.symbols_by_generation import SymbolsByGeneration

USER_SPACE = "user space"  # in place of a symbol

_BOOT_CPU = 0  # it makes the jump and enters the next kernel
_KERNEL = 1 << 63  # a Linux's addresses begin here or above


@dataclass(frozen=True)
class _From:
    """What runs from a store on."""

    generation: int
    jumping: bool  # to it: until its first event, the last kernel's code runs, too
    others: int  # the generation in which CPUs other than the boot CPU are


class StorePlaces:
    """Follows which generation runs, counted in stores seen."""

    def __init__(self, spec: RunSpec, symbols: SymbolsByGeneration) -> None:
        self._spec = spec
        self._symbols = symbols
        self._numbers = [0]
        self._running = [_From(1, False, 1)]
        self._images: dict[int, int] = {}  # where a kernel was loaded

    def on_event(self, event: GuestEvent, seen: int) -> None:
        """Every event, in order, with the number of stores until then."""
        if event.kind == "boot":
            image = event.fields.get("image")
            if isinstance(image, list) and image and isinstance(image[0], str):
                try:
                    self._images[event.generation] = int(image[0], 16)
                except ValueError:
                    pass  # then some code has no name
            # A khorig starts the other CPUs later; a Linux has, when its user space speaks.
            started = "image" not in event.fields
            others = event.generation if started else self._running[-1].others
            self._add(seen, _From(event.generation, False, others))
        elif event.kind == "cpus":
            self._add(seen, _From(event.generation, False, event.generation))
        elif event.kind in ("jump", "crash"):
            self._add(seen, _From(event.generation + 1, True, event.generation))

    def on_entry(self, generation: int, seen: int) -> None:
        """A kernel's first instruction."""
        self._add(seen, _From(generation, False, self._running[-1].others))

    def _add(self, seen: int, running: _From) -> None:
        if self._numbers[-1] == seen:
            self._running[-1] = running
        else:
            self._numbers.append(seen)
            self._running.append(running)

    def of(self, number: int, store: Store) -> tuple[int, str]:
        """The generation whose code made a store, and the symbol of its PC, USER_SPACE or ""."""
        cpu, pc = store.cpu, store.pc
        running = self._running[bisect.bisect_right(self._numbers, number) - 1]
        left_behind = cpu != _BOOT_CPU and running.others != running.generation
        if left_behind:
            order: tuple[int, ...] = (running.others,)
        elif not running.jumping:
            # Behind the running kernel's, code of the last one: a CPU that was not stopped.
            order = (running.generation, running.generation - 1)
        else:
            order = (running.generation - 1, running.generation)
        for generation in order:
            loaded_at = self._images.get(generation)
            described = self._symbols.of(generation).describe(pc, loaded_at)
            if symbol := described.partition(" ")[2]:
                return generation, symbol
        found = running.others if left_behind else running.generation
        user_space = order[0]  # the next kernel's begins after its first event
        if self._is_linux(user_space) and pc < _KERNEL and store.virtual != store.physical:
            return user_space, USER_SPACE  # what boots a Linux is mapped 1:1 where it is that low
        return found, ""

    def _is_linux(self, generation: int) -> bool:
        inside = 0 < generation <= self._spec.generations
        return inside and is_linux(self._spec.kernel_of(generation))
