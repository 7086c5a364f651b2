// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/defects/targets.h"

#include "kernel/base/direct_map.h"
#include "kernel/clients/stores.h"
#include "kernel/rig/block_entry.h"
#include "kernel/rig/require.h"
#include "kernel/scenarios/blocks.h"
#include "khocore/abi/handover.h"
#include "khocore/fragment_reader.h"
#include "khocore/radix_walk.h"

namespace defects {

using clients::Stores;
using khocore::Block;
using khocore::FragmentReader;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;
using rig::Require;

PhysRange LargestPreserved(const khocore::PhysicalMemory& physical, PageFrame tracker_root) {
  PhysRange largest;
  const auto pass_node = [](PageFrame, unsigned) -> Status { return Ok{}; };
  const auto compare = [&](Block block) -> Status {
    if (block.bytes() > largest.size) largest = {block.begin(), block.bytes()};
    return Ok{};
  };
  Require(
      khocore::WalkRadix(physical, tracker_root.address(), {.node = pass_node, .block = compare}),
      "fault");
  return largest;
}

PageFrame TrackerOf(const khocore::PhysicalMemory& physical, PhysAddr kho_root) {
  const auto root =
      Require(FragmentReader::Open(physical, {kho_root, khocore::kPageSize}), "fault");
  const uint64_t map =
      Require(root.PropertyU64(FragmentReader::root(), khocore::abi::kMemoryMapProperty), "fault");
  return PageFrame::Containing(PhysAddr::FromRaw(map));
}

bool FindListedBlock(const handover::Generation& generation, Order least, Block* found) {
  const Stores::Store* store = clients::stores.Find(scenarios::kBlocksStore);
  if (store == nullptr) return false;
  bool is_found = false;
  const uint64_t count = store->size / sizeof(uint64_t);
  const auto look = [&](PageFrame page, uint64_t index) -> Status {
    const auto* entries = base::Direct<uint64_t>(page.address());
    constexpr uint64_t kEntries = khocore::kPageSize / sizeof(uint64_t);
    for (uint64_t i = 0; i < kEntries && index * kEntries + i < count && !is_found; ++i) {
      *found = Require(rig::DecodeBlock(entries[i]), "fault");
      is_found = found->order.log2() >= least.log2();
    }
    return Ok{};
  };
  Require(Stores::ForEachPage(generation.physical, *store, look), "fault");
  return is_found;
}

}  // namespace defects
