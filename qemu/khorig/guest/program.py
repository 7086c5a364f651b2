# SPDX-License-Identifier: BSD-3-Clause
"""A program of the user's in a Linux of a chain."""

from __future__ import annotations

import shlex

FORM = "[N:]PROGRAM [ARGUMENTS...]"
LONGEST = 4096  # bytes of a program with its arguments
_LONGEST_PATH = 255  # bytes; it is in every event of the program


def program_words(text: str) -> tuple[str, ...]:
    """Splits a program and its arguments as a shell does. Raises ValueError."""
    if not text.isprintable():
        raise ValueError("control characters")
    if (size := len(text.encode())) > LONGEST:
        raise ValueError(f"{size} bytes, at most {LONGEST}")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(str(error).lower()) from None
    if not words or not words[0]:
        raise ValueError("no program")
    if (size := len(words[0].encode())) > _LONGEST_PATH:
        raise ValueError(f"a path of {size} bytes, at most {_LONGEST_PATH}")
    return words
