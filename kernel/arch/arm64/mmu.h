// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/arm64/page_tables.h"
#include "khocore/types.h"

namespace arch {

/// The map that the kernel runs on.
KernelMap& RunningMap();

/// Cleans and invalidates the data cache for `range` to the point of coherency, where a kernel that
/// runs without caches sees it.
void CleanToMemory(khocore::PhysRange range);

}  // namespace arch
