// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/cpus.h"
#include "kernel/arch/image_constants.h"
#include "khocore/types.h"

namespace arch {

// The stacks of started CPUs in the kernel's address space: a slot for each, behind the place of
// the image. The upper half of a slot is mapped once its CPU starts, nothing else ever is, so that
// what overflows a stack faults.

/// What a table of pages maps: it is a page itself, on every architecture.
inline constexpr uint64_t kTableSpan = khocore::kPageSize / sizeof(uint64_t) * khocore::kPageSize;

/// At least a page.
inline constexpr uint64_t kCpuStackBytes =
    STACK_BYTES < khocore::kPageSize ? khocore::kPageSize : STACK_BYTES;
inline constexpr uint64_t kCpuStackSlot = 2 * kCpuStackBytes;
/// From the image's address on. No table of pages has both.
inline constexpr uint64_t kCpuStacksOffset = khocore::AlignUp(IMAGE_MAX_BYTES, kTableSpan);
inline constexpr uint64_t kCpuStacksBytes = kMaxCpus * kCpuStackSlot;  ///< of all slots

/// The stack of the CPU `number`, a virtual range, where the image lies at `image_base`.
constexpr khocore::PhysRange CpuStack(uint64_t image_base, size_t number) {
  const uint64_t slot = image_base + kCpuStacksOffset + number * kCpuStackSlot;
  return {khocore::PhysAddr::FromRaw(slot + kCpuStackSlot - kCpuStackBytes), kCpuStackBytes};
}

/// Whether `address` lies below a stack in its slot, where nothing is mapped.
constexpr bool IsBelowCpuStack(uint64_t image_base, uint64_t address) {
  const uint64_t offset = address - image_base - kCpuStacksOffset;
  return offset < kCpuStacksBytes && offset % kCpuStackSlot < kCpuStackSlot - kCpuStackBytes;
}

}  // namespace arch
