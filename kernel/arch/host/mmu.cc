// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/mmu.h"

#include "kernel/arch/host/machine.h"

namespace arch {

const uint64_t kImageBase = 0;

bool HasPageSize(unsigned shift) { return shift == khocore::kPageShift; }

void ProtectImage() {}

/// RAM is mapped before the kernel starts; anything else does not exist.
khocore::Status MapRam(khocore::PhysRange range) {
  const khocore::PhysRange ram{khocore::PhysAddr::FromRaw(host::kRamBase), host::kRamSize};
  if (ram.Contains(range)) return khocore::Ok{};
  const bool begins_inside = ram.Contains({range.begin, 1});
  return khocore::Error{khocore::ErrorCode::kOutsideRam, begins_inside ? ram.end() : range.begin,
                        range.size};
}

khocore::Status MapDevice(khocore::PhysRange range) {
  return khocore::Error{khocore::ErrorCode::kOutsideRam, range.begin, range.size};
}

}  // namespace arch
