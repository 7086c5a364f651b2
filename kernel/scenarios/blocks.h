// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/incoming.h"
#include "kernel/handover/outgoing.h"

namespace scenarios {

/// A set of blocks of all orders with content from the seed. Its list is the store "blocks": one
/// u64 per block, the physical address with the order in the low bits. Block number n has the
/// content of owner n.
inline constexpr char kBlocksStore[] = "blocks";

/// Allocates about `megabytes` MiB in blocks of orders 0 to 10, the large ones first, fills them
/// and lists them. At 64 MiB there are 2063 blocks.
void CreateBlocks(handover::Generation& generation, uint64_t megabytes);
/// Takes every listed block back.
void RestoreBlocks(handover::Incoming& incoming);
/// Checks the content of every listed block; a difference is a `fail` event.
void VerifyBlocks(handover::Incoming& incoming);
/// Preserves every listed block.
void PreserveBlocks(handover::Outgoing& outgoing);

}  // namespace scenarios
