# SPDX-License-Identifier: BSD-3-Clause
"""Which kernel of a run a CPU executes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khorig.guest.event import EventFieldError, GuestEvent, parse_address

if TYPE_CHECKING:
    from khorig.vm.cpu_memory import CpuMemory
    from khorig.vm.cpu_state import CpuState


class RunningKernel:
    """Between the event `jump` and the first words of the next kernel either may run. The place of
    its text in RAM decides: in the image that booted or in the segments of the next one, where a
    khorig said them; at another place than Linux's text was before; or mapped 1:1, as between a
    Linux and its successor's own page tables."""

    def __init__(self, linux_text: int) -> None:
        """`linux_text`: a virtual address in the text of every Linux of this architecture."""
        self._linux_text = linux_text
        self.generation = 0
        self.is_entered = False  # by its first instruction, which the host saw; no `boot` yet
        self._jumped, self._next_has_words = True, False  # firmware jumps to the first
        self._image: tuple[int, int] | None = None
        self._segments: list[tuple[int, int]] = []
        self._text_at: int | None = None

    def on_event(self, event: GuestEvent) -> None:
        """Every event in order. What is malformed is as if it were absent."""
        if event.kind == "boot":
            self.generation = event.generation
            self._jumped = self._next_has_words = self.is_entered = False
            self._segments, self._text_at = [], None
            self._image = _pair(event.fields.get("image"))
        elif event.kind == "segments":
            pairs = [_pair(item[1:]) for item in _lists(event.fields.get("list"))]
            self._segments = [(pair[0], sum(pair)) for pair in pairs if pair is not None]
        elif event.kind == "stop" and event.generation == self.generation + 1:
            self.generation, self.is_entered, self._jumped = event.generation, True, False
        elif event.kind in ("jump", "crash"):
            self._jumped = True

    def on_stop(self, memory: CpuMemory) -> None:
        """Remembers where the text of this generation's Linux lies. Raises InfraError."""
        if self._image is None:
            self._text_at = memory.physical(self._linux_text)

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
        self._next_has_words |= self._jumped and "Linux version " in text

    def decide(self, state: CpuState, memory: CpuMemory) -> int | None:
        """The generation that a CPU is in, None where nothing tells. Raises InfraError."""
        if not self._jumped or self._next_has_words:
            return self.generation + self._jumped
        at = memory.physical(state.pc) if self.generation else None
        if at is None:
            return None
        if any(begin <= at < end for begin, end in self._segments):
            return self.generation + 1
        if self._image is not None:
            is_own = self._image[0] <= at < self._image[1] or at == state.pc  # or the relocator
            return self.generation + (not is_own)
        if at == state.pc:
            return self.generation + 1
        text_at = memory.physical(self._linux_text)
        if text_at is None or self._text_at is None:
            return None
        return self.generation + (text_at != self._text_at)


def _lists(value: Any) -> list[list[Any]]:
    """The lists in a list."""
    return [item for item in value if isinstance(item, list)] if isinstance(value, list) else []


def _pair(value: Any) -> tuple[int, int] | None:
    """The numbers of ["0x1000", "0x2000"]."""
    if not isinstance(value, list) or len(value) < 2:
        return None
    try:
        first, second = (parse_address(item, "address") for item in value[:2])
    except EventFieldError:
        return None
    return first, second
