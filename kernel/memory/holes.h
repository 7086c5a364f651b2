// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"

namespace memory {

/// The most holes that `AddHoles` makes.
inline constexpr uint32_t kMaxHoles = 128;

/// Makes holes in the upper half of RAM, as bad pages leave them: hole `i` has 1 + i % 3 pages, and
/// they are about as far from each other. They lie beside what is in use, are `kUnusable` in
/// `info`, and every later kernel finds them in the memory map that it is handed. Returns how many
/// there is room for.
uint32_t AddHoles(uint32_t count, base::BootInfo* info);

}  // namespace memory
