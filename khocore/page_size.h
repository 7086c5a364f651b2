// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace khocore {

/// Looks whether the handover at `root` was written by a kernel with pages of another size, whose
/// tree and fragments this library would misread. No byte of it tells, but every writer preserves
/// the page of the root with order 0: so the page size is the one in whose tree that block is.
/// For a handover that was refused: what is broken in other ways, or cannot be read at all, passes.
/// Error: `kPageSize`, with the writer's as `found`.
Status CheckPageSize(const PhysicalMemory& memory, PhysAddr root);

}  // namespace khocore
