// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/frame_table.h"
#include "khocore/function_ref.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/scratch.h"
#include "khocore/types.h"

namespace khocore {

/// What a walk over a handover counted.
struct HandoverSummary {
  uint64_t blocks = 0;
  uint64_t pages = 0;
  uint64_t nodes = 0;           ///< radix node pages
  uint64_t clients = 0;         ///< subnodes of the root
  uint64_t fragments = 0;       ///< the root included
  uint64_t fragment_depth = 0;  ///< the root alone is 1
};

/// Walks everything that hangs from the root page and checks every rule of the ABI: root page,
/// radix tree, blocks against RAM, scratch and each other, links and fragments. Blocks are claimed
/// in `frames`, whose RAM frames are `kFree` and whose scratch frames are marked.
///
/// `report` gets each finding and returns whether to go on. Parts that hang behind a broken one are
/// not walked. Returns the counts of what could be walked.
HandoverSummary CheckHandover(const PhysicalMemory& memory, PhysAddr root, const Scratch& scratch,
                              FrameTable& frames, FunctionRef<bool(const Error&)> report);

}  // namespace khocore
