// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace arch {

/// One piece of work of the relocator: `bytes` copied, `zeros` cleared behind them.
struct RelocatorCopy {
  uint64_t source;
  uint64_t destination;
  uint64_t bytes;
  uint64_t zeros;
};
static_assert(sizeof(RelocatorCopy) == 32);

/// What relocate.S finds behind its code, in the page it was copied to. All addresses are physical.
struct RelocatorData {
  uint64_t gdt;
  uint64_t page_tables;
  uint64_t stack;
  uint64_t copies;  ///< address of `copy_count` `RelocatorCopy`
  uint64_t copy_count;
  uint64_t entry;
  uint64_t parameters;
};
static_assert(sizeof(RelocatorData) == 56);

extern "C" {
extern const uint8_t __relocator_begin[];
extern const uint8_t __relocator_data[];
extern const uint8_t __relocator_gdt[];
extern const uint8_t __relocator_end[];
}

}  // namespace arch
