# SPDX-License-Identifier: BSD-3-Clause
"""Where what is fetched and built once is kept."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def cache_root() -> Path:
    """The user's cache of khorig; not created here."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "khorig"
    home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return Path(home) / ".cache" / "khorig"
