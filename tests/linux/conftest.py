# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
import pwd

# Bazel gives tests a home of their own; the peers are in the user's cache.
os.environ.setdefault("XDG_CACHE_HOME", os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".cache"))
