# SPDX-License-Identifier: BSD-3-Clause
"""Which kernel of a run a CPU executes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khorig.guest.event import EventFieldError, GuestEvent, parse_address
from khorig.run.next_segments import NextSegments

if TYPE_CHECKING:
    from khorig.vm.cpu_memory import CpuMemory
    from khorig.vm.cpu_state import CpuState


class RunningKernel:
    """Between the event `jump` and the first words of the next kernel either may run. The place of
    its text in RAM decides: in the image that booted, where a khorig said it; in the segments of
    the next one or in scratch; at another place than Linux's text was before. Other code that is
    mapped 1:1, as it is between two kernels' own page tables, is what copies the next kernel, where
    its segments are known."""

    def __init__(self, linux_text: int) -> None:
        """`linux_text`: a virtual address in the text of every Linux of this architecture."""
        self._linux_text = linux_text
        self.generation = 0
        self.is_entered = False  # by its first instruction, which the host saw; no `boot` yet
        self._jumped, self._next_has_words = True, False  # firmware jumps to the first
        self._image: tuple[int, int] | None = None
        self.segments = NextSegments()
        self._text_at: int | None = None

    def on_event(self, event: GuestEvent) -> None:
        """Every event in order. What is malformed is as if it were absent."""
        self.segments.on_event(event)
        if event.kind == "boot":
            self.generation = event.generation
            self._jumped = self._next_has_words = self.is_entered = False
            self._text_at = None
            self._image = _pair(event.fields.get("image"))
        elif event.kind == "stop" and event.generation == self.generation + 1:
            self.generation, self.is_entered, self._jumped = event.generation, True, False
        elif event.kind in ("jump", "crash"):
            self._jumped = True

    def on_stop(self, memory: CpuMemory) -> None:
        """Remembers where the text of this generation's Linux lies. Raises InfraError."""
        if self._image is None:
            self._text_at = memory.physical(self._linux_text)

    @property
    def jumped_from(self) -> int:
        """The generation that jumped and whose successor has said nothing, 0 without such."""
        if self.is_entered:
            return 0 if self._next_has_words else self.generation - 1
        return self.generation if self.is_mute else 0

    @property
    def is_mute(self) -> bool:
        """Whether a jump was announced and the next kernel has said nothing."""
        return self._jumped and not self._next_has_words

    @property
    def speaking(self) -> int:
        """The generation whose words are on the console: the one before until the next has said
        something, or has been seen to be entered."""
        return self.generation + (self._jumped and self._next_has_words)

    def on_text(self, text: str) -> None:
        """A line of the console: a Linux that boots says so."""
        is_next = self._jumped or self.is_entered
        self._next_has_words |= is_next and "Linux version " in text

    def decide(self, state: CpuState, memory: CpuMemory) -> int | None:
        """The generation that a CPU is in, None where nothing tells. Raises InfraError."""
        if not self._jumped or self._next_has_words:
            return self.generation + self._jumped
        at = memory.physical(state.pc) if self.generation else None
        if at is None:
            return None
        if self.segments.segment_at(at) is not None:
            return self.generation + 1
        if self._image is not None:
            is_own = self._image[0] <= at < self._image[1] or at == state.pc  # or the relocator
            return self.generation + (not is_own)
        if at == state.pc:
            return self.generation + (not self.segments.are_known)
        text_at = memory.physical(self._linux_text)
        if text_at is None or self._text_at is None:
            return None
        return self.generation + (text_at != self._text_at)


def _pair(value: Any) -> tuple[int, int] | None:
    """The numbers of ["0x1000", "0x2000"]."""
    if not isinstance(value, list) or len(value) < 2:
        return None
    try:
        first, second = (parse_address(item, "address") for item in value[:2])
    except EventFieldError:
        return None
    return first, second
