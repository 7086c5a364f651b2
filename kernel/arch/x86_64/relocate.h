// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by relocate.S, too, which takes the offsets.
#define COPY_SOURCE 0
#define COPY_DESTINATION 8
#define COPY_BYTES 16
#define COPY_ZEROS 24
#define COPY_LENGTH 32
#define RELOCATOR_GDT 0
#define RELOCATOR_PAGE_TABLES 8
#define RELOCATOR_STACK 16
#define RELOCATOR_COPIES 24
#define RELOCATOR_COPY_COUNT 32
#define RELOCATOR_ENTRY 40
#define RELOCATOR_PARAMETERS 48
#define RELOCATOR_BYTES 56

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/jump.h"
#include "khocore/types.h"

namespace arch {

/// One piece of work of the relocator: `bytes` copied, `zeros` cleared behind them.
struct RelocatorCopy {
  uint64_t source;
  uint64_t destination;
  uint64_t bytes;
  uint64_t zeros;
};
static_assert(offsetof(RelocatorCopy, source) == COPY_SOURCE);
static_assert(offsetof(RelocatorCopy, destination) == COPY_DESTINATION);
static_assert(offsetof(RelocatorCopy, bytes) == COPY_BYTES);
static_assert(offsetof(RelocatorCopy, zeros) == COPY_ZEROS);
static_assert(sizeof(RelocatorCopy) == COPY_LENGTH);

/// What relocate.S finds behind its code, in the page it was copied to. All addresses are physical.
struct RelocatorData {
  uint64_t gdt;  ///< the other half of the GDT's pointer, behind its limit
  uint64_t page_tables;
  uint64_t stack;
  uint64_t copies;  ///< address of `copy_count` `RelocatorCopy`
  uint64_t copy_count;
  uint64_t entry;
  uint64_t parameters;
};
static_assert(offsetof(RelocatorData, gdt) == RELOCATOR_GDT && RELOCATOR_GDT == 0);
static_assert(offsetof(RelocatorData, page_tables) == RELOCATOR_PAGE_TABLES);
static_assert(offsetof(RelocatorData, stack) == RELOCATOR_STACK);
static_assert(offsetof(RelocatorData, copies) == RELOCATOR_COPIES);
static_assert(offsetof(RelocatorData, copy_count) == RELOCATOR_COPY_COUNT);
static_assert(offsetof(RelocatorData, entry) == RELOCATOR_ENTRY);
static_assert(offsetof(RelocatorData, parameters) == RELOCATOR_PARAMETERS);
static_assert(sizeof(RelocatorData) == RELOCATOR_BYTES);

/// The copies that fit into a page.
inline constexpr size_t kMaxCopies = khocore::kPageSize / sizeof(RelocatorCopy);

/// Enters a copy for each segment, with zeros to the end of its last page, but not beyond the
/// destination. Panics on a segment that is larger than its destination, or one too many: bugs of
/// the kernel.
void FillCopies(khocore::Span<const Segment> segments, RelocatorCopy* copies);

extern "C" {
extern const uint8_t __relocator_begin[];
extern const uint8_t __relocator_data[];
extern const uint8_t __relocator_gdt[];
extern const uint8_t __relocator_end[];
}

}  // namespace arch

#endif  // __ASSEMBLER__
