// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/abi/page_shift.h"

// Sizes that C++, assembly and the linker scripts share: numbers alone, which all three can read.

// The most that an image may take in memory. Its page tables are the larger part.
#if KHOCORE_PAGE_SHIFT == 12
#define IMAGE_MAX_BYTES 0x200000
#else
#define IMAGE_MAX_BYTES 0x400000
#endif
// Section `.symbols`, which toolchain/make_image.py fills (kernel/cpus/symbols.h).
#define SYMBOL_TABLE_BYTES 0x10000
// The stack of each CPU.
#define STACK_BYTES 0x8000
// Where an image keeps the registers that it was entered with, from its first byte (docs/abi.md).
#define ENTRY_RECORD_OFFSET 0x100
