# SPDX-License-Identifier: BSD-3-Clause
"""Exit status of a guest (docs/abi.md)."""

from __future__ import annotations

PASS = 33
FAIL = 35
PANIC = 37
NO_MEMORY = 39
USAGE = 41

MEANINGS = {
    PASS: "pass",
    FAIL: "the guest found an error",
    PANIC: "exception or kernel bug",
    NO_MEMORY: "out of RAM",
    USAGE: "invalid command line or archive",
}
