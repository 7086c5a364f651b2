# SPDX-License-Identifier: BSD-3-Clause
"""Which images of guest RAM a run leaves."""

from __future__ import annotations

import enum


class Keep(enum.Enum):
    """When guest RAM is saved."""

    END = "end"  # at the end of a run that did not pass
    FAILED = "failed"  # the same, and at every stop of such a run
    EVERY = "every"  # at every stop, and the end, whatever the verdict
