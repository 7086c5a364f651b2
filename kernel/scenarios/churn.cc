// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/list.h"
#include "kernel/handover/scenario.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"
#include "kernel/scenarios/region_model.h"

namespace scenarios {
namespace {

using clients::stores;
using handover::Generation;
using handover::Incoming;
using handover::Outgoing;
using khocore::Block;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;
using rig::Require;

constexpr Order kRegionOrder = Order::FromLog2(10);
constexpr uint64_t kRegionPages = kRegionOrder.pages();
constexpr unsigned kMaxBlockOrder = 6;  ///< exclusive
constexpr uint64_t kDefaultOperations = 20000;
constexpr char kModelStore[] = "churn";

/// In the store "churn".
struct Model {
  uint64_t region;              ///< physical address
  uint8_t pages[kRegionPages];  ///< region_model.h

  Block BlockAt(uint64_t at) const { return ModelBlock(region, at, pages[at]); }
};
static_assert(sizeof(Model) <= kPageSize);

Model& ModelOf(const Generation& generation) {
  return *static_cast<Model*>(PageOfStore(generation, kModelStore, sizeof(Model)));
}

void Create(Generation& generation) {
  Require(stores.Create(generation, kModelStore, sizeof(Model)), kModelStore);
  ModelOf(generation) = Model{};
}

void Restore(Incoming& incoming) {
  const Model& model = ModelOf(incoming.generation());
  for (uint64_t at = 0; at < kRegionPages; ++at) {
    if (!IsModelHead(model.pages[at])) continue;
    const Block block = model.BlockAt(at);
    if (!incoming.RestoreBlock(block).ok()) {
      KHORIG_FAIL("churn", "block 0x%lx of order %u: restored with another order or not at all",
                  block.begin().raw(), block.order.log2());
    }
  }
}

/// Now that all blocks are back, restoring fails for every page of the region: never preserved, the
/// tail of a block, or restored before.
void Verify(Incoming& incoming) {
  const Model& model = ModelOf(incoming.generation());
  for (uint64_t at = 0; at < kRegionPages; ++at) {
    const PageFrame page = model.BlockAt(at).frame;
    if (incoming.RestoreHead(page).ok()) {
      KHORIG_FAIL("churn", "page 0x%lx was restored", page.address().raw());
    }
  }
}

/// Frees the previous generation's blocks and allocates a new region.
void Renew(Generation& generation, Model& model) {
  for (uint64_t at = 0; model.region != 0 && at < kRegionPages; ++at) {
    if (!IsModelHead(model.pages[at])) continue;
    Require(generation.allocator.Free(model.BlockAt(at).frame), kModelStore);
  }
  for (uint8_t& entry : model.pages) entry = 0;
  const PageFrame region = Require(generation.allocator.Allocate(kRegionOrder), kModelStore);
  model.region = region.address().raw();
}

void Step(khocore::Tracker& tracker, Model& model, base::Random& random) {
  const Order order = Order::FromLog2(static_cast<unsigned>(random.Below(kMaxBlockOrder)));
  const uint64_t at = random.Below(kRegionPages >> order.log2()) << order.log2();
  const Block block{model.BlockAt(at).frame, order};
  const Action action = ActionOn(model.pages, at, order);
  if (action == Action::kPreserve) {
    Require(tracker.Preserve(block), kModelStore);
  } else if (action == Action::kUnpreserve) {
    Require(tracker.Unpreserve(block), kModelStore);
  } else if (tracker.Unpreserve(block).ok()) {
    KHORIG_FAIL("churn", "block 0x%lx of order %u was unpreserved but not preserved",
                block.begin().raw(), order.log2());
  }
  Apply(model.pages, at, order, action);
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
    if (model.pages[at] == kModelTail) continue;
    Require(generation.allocator.Regroup(model.BlockAt(at)), kModelStore);
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
