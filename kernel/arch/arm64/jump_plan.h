// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by relocate.S, too, which takes the offsets.
#define PLAN_TABLE 0
#define PLAN_ENTRY 8
#define PLAN_PARAMETERS 16
#define PLAN_COPY_COUNT 24
#define PLAN_CODE 32
#define PLAN_COPIES 40
#define COPY_SOURCE 0
#define COPY_BYTES 8
#define COPY_DESTINATION 16
#define COPY_SIZE 24
#define COPY_LENGTH 32

// Of the code from the start of its page, which holds its exception vectors first.
#define RELOCATE_ENTRY 2048

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/jump.h"
#include "khocore/types.h"

namespace arch {

/// `bytes` from `source` to `destination`, and zeros to the end of their last page. All `size`
/// bytes are cleaned to memory.
struct Copy {
  uint64_t source;
  uint64_t bytes;
  uint64_t destination;
  uint64_t size;
};
static_assert(offsetof(Copy, source) == COPY_SOURCE);
static_assert(offsetof(Copy, bytes) == COPY_BYTES);
static_assert(offsetof(Copy, destination) == COPY_DESTINATION);
static_assert(offsetof(Copy, size) == COPY_SIZE);
static_assert(sizeof(Copy) == COPY_LENGTH);

/// What relocate.S needs to know: one page.
struct Plan {
  static constexpr size_t kMaxCopies = (khocore::kPageSize - PLAN_COPIES) / sizeof(Copy);

  uint64_t table;  ///< physical address of the root table that the copy runs on
  uint64_t entry;
  uint64_t parameters;
  uint64_t copy_count;
  uint64_t code;  ///< physical address of the page with relocate.S
  Copy copies[kMaxCopies];
};
static_assert(offsetof(Plan, table) == PLAN_TABLE);
static_assert(offsetof(Plan, entry) == PLAN_ENTRY);
static_assert(offsetof(Plan, parameters) == PLAN_PARAMETERS);
static_assert(offsetof(Plan, copy_count) == PLAN_COPY_COUNT);
static_assert(offsetof(Plan, code) == PLAN_CODE);
static_assert(offsetof(Plan, copies) == PLAN_COPIES);
static_assert(sizeof(Plan) <= khocore::kPageSize);

/// Enters the copies of `segments` and where to go on afterwards. Panics on a segment that is
/// larger than its destination, or one too many: bugs of the kernel.
void FillPlan(khocore::Span<const Segment> segments, khocore::PhysAddr entry,
              khocore::PhysAddr parameters, Plan* plan);

}  // namespace arch

#endif  // __ASSEMBLER__
