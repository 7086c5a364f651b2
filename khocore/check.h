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
/// in `frames`, whose free RAM is `kFree` and whose scratch frames are exactly those of `scratch`.
///
/// `report` gets each finding and returns whether to go on. Parts that hang behind a broken one are
/// not walked; links are not followed when the tree is broken, because it is then unknown what is
/// preserved. Returns the counts of what could be walked.
///
/// `where` of a finding is the bad address itself: of the root page, node, block (its first bad
/// page), blob or fragment. For a link that is malformed it is the address of the link's node.
///
/// Neither time nor memory depends on how the tree or the fragments are linked, but for a step that
/// a link takes for each block its blob lies in: a page is visited once, because it is marked in
/// `frames` with the bit of scratch, where neither a node nor a fragment may lie. The marks are
/// gone when the function returns.
HandoverSummary CheckHandover(const PhysicalMemory& memory, PhysAddr root, const Scratch& scratch,
                              FrameTable& frames, FunctionRef<bool(const Error&)> report);

}  // namespace khocore
