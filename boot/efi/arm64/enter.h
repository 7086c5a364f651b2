// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

extern "C" {

/// Writes the cache lines of [begin, end) back to memory.
void EfiCleanRange(uint64_t begin, uint64_t end);

/// Switches MMU and caches off and enters the kernel with the address of its device tree, as
/// Linux's boot protocol wants it. Interrupts stay off.
[[noreturn]] void EfiEnterKernel(uint64_t entry, uint64_t device_tree);
}
