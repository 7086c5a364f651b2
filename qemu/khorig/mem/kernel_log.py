# SPDX-License-Identifier: BSD-3-Clause
"""The log of a Linux that died before its console, in its memory."""

from __future__ import annotations

import re
from typing import Sequence

from khorig.mem.guest_ram import GuestRam

_WINDOW = 64 << 20  # bytes before and behind the text in which an image's log lies
_LARGEST = 1 << 20  # bytes of the ring that are read
_GAP = 4096  # bytes without text: the end of it
_TRIES = 64
# The first words of a Linux as a record: behind the number of its descriptor, which begins below 0
# (kernel/printk/printk_ringbuffer.c). The constant in the image that they come from is not.
_BANNER = re.compile(rb"\xff\xff\x3fLinux version [0-9]")
_RECORD = re.compile(rb"[ -~\t]{5,1024}")
_BAD = re.compile(r"BUG:|Oops|WARNING:|Unable to handle|Internal error|Kernel panic")


def find_kernel_log(ram: GuestRam, at: int) -> list[str]:
    """The text of the log of the Linux whose text is at physical address `at`, without time stamps,
    the oldest line first; empty where none is found. The log has not wrapped: what died early has
    said little. A line may repeat its last two characters, which are left of what was written."""
    begins: list[int] = []
    for begin, size in ram.extents():
        low, high = max(begin, at - _WINDOW), min(begin + size, at + _WINDOW)
        if low < high:
            with ram.view(low, high - low) as view:
                begins += [low + match.start() for match in _BANNER.finditer(view)][:_TRIES]
    if not begins:
        return []
    begin = min(begins, key=lambda place: abs(place - at)) + 3
    region = next(region for region in ram.regions if region.gpa <= begin < region.end)
    return _records(ram.read(begin, min(_LARGEST, region.end - begin)))


def _records(data: bytes) -> list[str]:
    found: list[str] = []
    end = 0
    for match in _RECORD.finditer(data):
        if match.start() - end > _GAP:
            break
        end = match.end()
        found.append(match[0].decode("ascii").removeprefix("?"))  # of the next number
    return found


def lines_that_matter(log: Sequence[str], count: int) -> list[str]:
    """Up to `count` lines: the first that is bad with what follows it, then the last ones."""
    first = next((n for n, line in enumerate(log) if _BAD.search(line)), len(log))
    head = list(log[first : first + (count + 1) // 2])
    rest = list(log[first + len(head) :]) if head else list(log)
    left = count - len(head)
    return head + (rest[-left:] if left else [])
