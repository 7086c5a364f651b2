// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/abi/geometry.h"

/// The scratch array, as Linux 7.2 hands it over (include/linux/kexec_handover.h): areas in the
/// order low memory, global, one per memory node. Base and size are multiples of 4 MiB at 4 KiB
/// pages (PAGE_SIZE * MAX_ORDER_NR_PAGES).

namespace khocore::abi {

struct ScratchArea {
  uint64_t address;
  uint64_t size;
};
static_assert(sizeof(ScratchArea) == 16);

inline constexpr uint64_t kScratchAlignment = kGeometry.scratch_alignment();

}  // namespace khocore::abi
