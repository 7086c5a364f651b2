# SPDX-License-Identifier: BSD-3-Clause
"""How a guest ends QEMU (docs/abi.md)."""

from __future__ import annotations

PASS = 33
FAIL = 35
PANIC = 37
NO_MEMORY = 39
USAGE = 41

MEANINGS = {
    PASS: "pass",
    FAIL: "the guest found something wrong",
    PANIC: "exception, or a bug of the kernel",
    NO_MEMORY: "too little RAM",
    USAGE: "the command line or the archive cannot be used",
}
