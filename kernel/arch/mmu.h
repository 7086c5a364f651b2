// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/arch/image_constants.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace arch {

// All physical memory is identity-mapped once `MapRam` was called for it, so a physical address
// outside the kernel's image is also a virtual one. The image itself is linked and mapped at
// `kImageBase`, wherever it was loaded.

/// The virtual address the image is linked at. Images are at most `kImageMaxSize` in memory.
extern const uint64_t kImageBase;
inline constexpr uint64_t kImageMaxSize = IMAGE_MAX_BYTES;

/// Whether this CPU can run a kernel with pages of 2^`shift` bytes.
bool HasPageSize(unsigned shift);

/// Gives each part of the image its own rights: text read and execute, constants read, data and
/// stack read and write, and an unmapped page below the stack. Called once, early.
void ProtectImage();
/// Identity-maps RAM, cached, read and write, never executable. Rounds outwards to the map's grain.
/// On an error what lies below `where` is mapped. Errors: `kOutOfMemory` when the static pool of
/// page tables is used up, `kOutsideRam` beyond what the architecture can address, `kOverlap` when
/// RAM and device registers share a piece of the map's grain (arm64).
khocore::Status MapRam(khocore::PhysRange range);
/// Identity-maps device registers, uncached. Errors: as `MapRam`.
khocore::Status MapDevice(khocore::PhysRange range);

}  // namespace arch
