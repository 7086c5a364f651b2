# SPDX-License-Identifier: BSD-3-Clause
"""Takes what names a machine out of the texts of a run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Iterable, Mapping

_DESCRIPTOR = "/proc/self/fd/"  # of QEMU's arguments: the same everywhere


class Scrubber:
    """Replaces paths by names that mean the same in a bundle."""

    def __init__(self, files: Mapping[str, str], folders: Iterable[Path]) -> None:
        """`files`: the name in the bundle by absolute path. `folders`: what else of this machine
        may be named; what follows it in a path stays."""
        names = dict(files)
        for folder in folders:
            if len(folder.parts) > 1:  # not the root
                names.setdefault(f"{os.fspath(folder)}/", ".../")
        ordered = sorted((name for name in names if name), key=len, reverse=True)
        self._names = names
        # Only whole paths: "/root/" is no part of "khorig/root/x".
        self._pattern = re.compile(r"(?<![\w./-])(" + "|".join(map(re.escape, ordered)) + ")")

    def text(self, text: str) -> str:
        """The text without paths of this machine."""
        return self._pattern.sub(lambda match: self._names[match[0]], text)


def absolute_paths(words: Iterable[str]) -> list[str]:
    """Words with a path from the root in them, which mean something on one machine only."""
    return [word for word in words if re.search(r"(^|[=,:])(/|~)", word.replace(_DESCRIPTOR, ""))]
