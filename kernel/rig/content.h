// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

namespace rig {

/// Page contents that guest and host compute from the seed alone (docs/abi.md).

/// The number that content uses for an owner with a name.
uint32_t ContentOwner(const char* name);

/// Fills whole pages; `index` of the first page of `range` is 0.
void FillContent(khocore::PhysRange range, uint64_t seed, uint32_t owner);

/// Fills one page, the `index`-th of its owner.
void FillPage(khocore::PageFrame page, uint64_t seed, uint32_t owner, uint64_t index);

/// Whether a page is what `FillPage` wrote, every word of it: not every scenario has a ledger.
bool HasContent(khocore::PageFrame page, uint64_t seed, uint32_t owner, uint64_t index);

}  // namespace rig
