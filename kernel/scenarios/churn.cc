// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/direct_map.h"
#include "kernel/clients/list.h"
#include "kernel/handover/scenario.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"

namespace scenarios {
namespace {

using clients::Stores;
using clients::stores;
using handover::Generation;
using handover::Incoming;
using handover::Outgoing;
using khocore::Block;
using khocore::kPageSize;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::Result;
using khocore::Status;
using rig::Require;

constexpr Order kRegionOrder = Order::FromLog2(10);
constexpr uint64_t kRegionPages = kRegionOrder.pages();
constexpr unsigned kMaxBlockOrder = 6;  ///< exclusive
constexpr uint64_t kDefaultOperations = 20000;
constexpr char kModelStore[] = "churn";

/// What the tracker must hold for one region, in the store "churn": what the next generation and
/// the host compare with. A byte per page: 0 nothing, 1 + order on the first page of a preserved
/// block, `kTail` on its others.
struct Model {
  static constexpr uint8_t kTail = 0xff;
  uint64_t region;  ///< physical address
  uint8_t pages[kRegionPages];

  bool IsFree(uint64_t at, Order order) const {
    for (uint64_t i = 0; i < order.pages(); ++i) {
      if (pages[at + i] != 0) return false;
    }
    return true;
  }
  void Set(uint64_t at, Order order, bool preserved) {
    for (uint64_t i = 0; i < order.pages(); ++i) pages[at + i] = preserved ? kTail : 0;
    if (preserved) pages[at] = static_cast<uint8_t>(1 + order.log2());
  }
};
static_assert(sizeof(Model) <= kPageSize);

Model& ModelOf(const Generation& generation) {
  const Stores::Store* store = stores.Find(kModelStore);
  if (store == nullptr || store->size != sizeof(Model)) {
    rig::RequireMissing(kModelStore);
  }
  PageFrame first;
  Require(Stores::ForEachPage(generation.physical, *store,
                              [&](PageFrame page, uint64_t) -> Status {
                                first = page;
                                return Ok{};
                              }),
          kModelStore);
  return *base::Direct<Model>(first.address());
}

Block BlockAt(const Model& model, uint64_t at, Order order) {
  return {PageFrame::Containing(PhysAddr::FromRaw(model.region)) + at, order};
}

void Create(Generation& generation) {
  Require(stores.Create(generation, kModelStore, sizeof(Model)), kModelStore);
  ModelOf(generation) = Model{};
}

void Restore(Incoming& incoming) {
  const Model& model = ModelOf(incoming.generation());
  for (uint64_t at = 0; at < kRegionPages; ++at) {
    const PageFrame page = BlockAt(model, at, Order()).frame;
    const uint8_t entry = model.pages[at];
    if (entry == 0 || entry == Model::kTail) continue;
    const Result<Order> order = incoming.RestoreHead(page);
    if (!order.ok() || order.value().log2() + 1 != entry) {
      KHORIG_FAIL("churn", "block 0x%lx of order %u: restored with another order or not at all",
                  page.address().raw(), entry - 1u);
    }
  }
}

/// Now that all blocks are back, restoring fails for every page of the region: never preserved, the
/// tail of a block, or restored before.
void Verify(Incoming& incoming) {
  const Model& model = ModelOf(incoming.generation());
  for (uint64_t at = 0; at < kRegionPages; ++at) {
    const PageFrame page = BlockAt(model, at, Order()).frame;
    if (incoming.RestoreHead(page).ok()) {
      KHORIG_FAIL("churn", "page 0x%lx was restored", page.address().raw());
    }
  }
}

/// Frees the previous generation's blocks and allocates a new region.
void Renew(Generation& generation, Model& model) {
  for (uint64_t at = 0; model.region != 0 && at < kRegionPages; ++at) {
    if (model.pages[at] == 0 || model.pages[at] == Model::kTail) continue;
    Require(generation.allocator.Free(BlockAt(model, at, Order()).frame), kModelStore);
  }
  for (uint8_t& entry : model.pages) entry = 0;
  const PageFrame region = Require(generation.allocator.Allocate(kRegionOrder), kModelStore);
  model.region = region.address().raw();
}

void Step(khocore::Tracker& tracker, Model& model, base::Random& random) {
  const Order order = Order::FromLog2(static_cast<unsigned>(random.Below(kMaxBlockOrder)));
  const uint64_t at = random.Below(kRegionPages >> order.log2()) << order.log2();
  const Block block = BlockAt(model, at, order);
  if (model.pages[at] == 1 + order.log2()) {
    Require(tracker.Unpreserve(block), kModelStore);
    model.Set(at, order, false);
  } else if (model.IsFree(at, order)) {
    Require(tracker.Preserve(block), kModelStore);
    model.Set(at, order, true);
  } else if (tracker.Unpreserve(block).ok()) {
    KHORIG_FAIL("churn", "block 0x%lx of order %u was unpreserved but not preserved",
                block.begin().raw(), order.log2());
  }
}

void Preserve(Outgoing& outgoing) {
  Generation& generation = outgoing.generation();
  Model& model = ModelOf(generation);
  Renew(generation, model);
  base::Random random =
      base::Random::ForPurpose(generation.options.seed + generation.options.generation, "churn");
  const uint64_t wanted = generation.options.operations;
  for (uint64_t i = wanted != 0 ? wanted : kDefaultOperations; i > 0; --i) {
    Step(outgoing.tracker(), model, random);
  }
  // The frame table is the other view of the same blocks.
  for (uint64_t at = 0; at < kRegionPages; ++at) {
    const uint8_t entry = model.pages[at];
    if (entry == Model::kTail) continue;
    const Order order = Order::FromLog2(entry == 0 ? 0 : entry - 1u);
    Require(generation.allocator.Regroup(BlockAt(model, at, order)), kModelStore);
  }
}

KHORIG_SCENARIO(churn) = {
    .name = "churn",
    .summary = "random preserve and unpreserve against a model, then handover and restore",
    .expects_refusal = false,
    .clients = clients::kOwn,
    .create = Create,
    .restore = Restore,
    .verify = Verify,
    .preserve = Preserve};

}  // namespace
}  // namespace scenarios
