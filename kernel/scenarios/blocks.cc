// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/scenarios/blocks.h"

#include "kernel/base/direct_map.h"
#include "kernel/clients/stores.h"
#include "kernel/rig/block_entry.h"
#include "kernel/rig/content.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"
#include "kernel/rig/stop.h"

namespace scenarios {
namespace {

using clients::Stores;
using clients::stores;
using handover::Generation;
using handover::Incoming;
using handover::Outgoing;
using khocore::Block;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::Result;
using khocore::Status;
using rig::Require;

/// How many blocks of each order make 64 MiB at 4 KiB. Larger pages: fewer, so that it is as much.
constexpr uint64_t kBlocksAt64[] = {1024, 512, 256, 128, 64, 32, 16, 16, 8, 4, 3};
constexpr unsigned kOrders = sizeof(kBlocksAt64) / sizeof(kBlocksAt64[0]);
constexpr uint64_t kEntriesPerPage = khocore::kPageSize / sizeof(uint64_t);

uint64_t BlocksOf(unsigned order, uint64_t megabytes) {
  const uint64_t share = kBlocksAt64[order] * megabytes / 64 >> (khocore::kPageShift - 12);
  return share == 0 ? 1 : share;
}

uint64_t BlocksOf(uint64_t megabytes) {
  uint64_t total = 0;
  for (unsigned order = 0; order < kOrders; ++order) total += BlocksOf(order, megabytes);
  return total;
}

/// Calls `visit(entry, number)` with each entry of the list; `visit` may change it.
template <typename Visit>
void ForEachEntry(const Generation& generation, Visit visit) {
  const Stores::Store* store = stores.Find(kBlocksStore);
  if (store == nullptr) rig::RequireMissing("blocks");
  const uint64_t count = store->size / sizeof(uint64_t);
  Require(Stores::ForEachPage(generation.physical, *store,
                              [&](PageFrame page, uint64_t index) -> Status {
                                auto* entries = base::Direct<uint64_t>(page.address());
                                for (uint64_t i = 0; i < kEntriesPerPage; ++i) {
                                  const uint64_t number = index * kEntriesPerPage + i;
                                  if (number >= count) break;
                                  KHOCORE_RETURN_IF_ERROR(visit(entries[i], number));
                                }
                                return Ok{};
                              }),
          "blocks");
}

/// Calls `visit(block, number)` with each listed block.
template <typename Visit>
void ForEachListed(const Generation& generation, Visit visit) {
  ForEachEntry(generation, [&](uint64_t entry, uint64_t number) -> Status {
    const Result<Block> block = rig::DecodeBlock(entry);
    if (!block.ok()) return block.error();
    return visit(block.value(), number);
  });
}

void CheckContent(const Generation& generation, Block block, uint64_t number) {
  for (uint64_t i = 0; i < block.order.pages(); ++i) {
    if (rig::HasContent(block.frame + i, generation.options.seed, static_cast<uint32_t>(number),
                        i)) {
      continue;
    }
    KHORIG_FAIL("blocks", "block %lu of order %u: page 0x%lx lost its content", number,
                block.order.log2(), (block.frame + i).address().raw());
    return;
  }
}

}  // namespace

void CreateBlocks(Generation& generation, uint64_t megabytes) {
  Require(stores.Create(generation, kBlocksStore, BlocksOf(megabytes) * sizeof(uint64_t)),
          "blocks");
  // The large ones first: afterwards memory may be too scattered for them.
  unsigned order = kOrders - 1;
  uint64_t left = BlocksOf(order, megabytes);
  ForEachEntry(generation, [&](uint64_t& entry, uint64_t number) -> Status {
    while (left == 0) left = BlocksOf(--order, megabytes);
    --left;
    const Result<PageFrame> head = generation.allocator.Allocate(Order::FromLog2(order));
    if (!head.ok()) {
      rig::EndWithError(rig::RequestError::kNoMemory, "no-memory",
                        "no free block of order %u for block %lu; %lu pages are free", order,
                        number, generation.allocator.free_pages());
    }
    const Block block{head.value(), Order::FromLog2(order)};
    entry = rig::EncodeBlock(block);
    rig::FillContent({block.begin(), block.bytes()}, generation.options.seed,
                     static_cast<uint32_t>(number));
    return Ok{};
  });
}

void RestoreBlocks(Incoming& incoming) {
  uint64_t blocks = 0;
  uint64_t pages = 0;
  rig::Phase phase("take-back");
  ForEachListed(incoming.generation(), [&](Block block, uint64_t) -> Status {
    KHOCORE_RETURN_IF_ERROR(incoming.RestoreBlock(block));
    ++blocks;
    pages += block.order.pages();
    return Ok{};
  });
  phase.End(blocks, pages);
}

void VerifyBlocks(Incoming& incoming) {
  ForEachListed(incoming.generation(), [&](Block block, uint64_t number) -> Status {
    CheckContent(incoming.generation(), block, number);
    return Ok{};
  });
}

void PreserveBlocks(Outgoing& outgoing) {
  uint64_t blocks = 0;
  uint64_t pages = 0;
  rig::Phase phase("preserve");
  ForEachListed(outgoing.generation(), [&](Block block, uint64_t) -> Status {
    KHOCORE_RETURN_IF_ERROR(outgoing.tracker().Preserve(block));
    ++blocks;
    pages += block.order.pages();
    return Ok{};
  });
  phase.End(blocks, pages);
}

}  // namespace scenarios
