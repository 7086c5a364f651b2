// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/format.h"
#include "kernel/clients/list.h"
#include "kernel/handover/scenario.h"
#include "kernel/rig/content.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"
#include "kernel/scenarios/blocks.h"

namespace scenarios {
namespace {

using clients::Stores;
using clients::stores;
using handover::Generation;
using handover::Incoming;
using khocore::Ok;
using khocore::PageFrame;
using khocore::Status;
using rig::Require;

/// Every generation leaves a store of its own, of a size that is no whole number of pages.
struct StoreName {
  char text[Stores::kMaxName];
  explicit StoreName(uint32_t generation) {
    base::FormatTo(text, sizeof(text), "generation-%u", generation);
  }
};

/// How many generations a store goes along. More than fit into a fragment, and their memory does
/// not grow with the number of generations.
constexpr uint32_t kStoresKept = 48;

uint64_t SizeOfStore(uint32_t generation) {
  return 300000 + 12345 * uint64_t{generation % kStoresKept};
}

uint32_t OldestStore(uint32_t generation) {
  return generation <= kStoresKept ? 1 : generation - kStoresKept;
}

void LeaveStore(Generation& generation) {
  const uint32_t number = generation.options.generation;
  if (number > kStoresKept) {
    const StoreName oldest(number - kStoresKept);
    Require(stores.Remove(generation, oldest.text), oldest.text);
  }
  const StoreName name(number);
  const Stores::Store* store = Require(
      stores.Create(generation, name.text, SizeOfStore(generation.options.generation)), name.text);
  Require(Stores::ForEachPage(generation.physical, *store,
                              [&](PageFrame page, uint64_t index) -> Status {
                                rig::FillPage(page, generation.options.seed,
                                              rig::ContentOwner(name.text), index);
                                return Ok{};
                              }),
          name.text);
}

void CheckStore(const Generation& generation, uint32_t of) {
  const StoreName name(of);
  const Stores::Store* store = stores.Find(name.text);
  if (store == nullptr || store->size != SizeOfStore(of)) {
    KHORIG_FAIL("stores", "%s is missing or has another size", name.text);
    return;
  }
  Require(Stores::ForEachPage(generation.physical, *store,
                              [&](PageFrame page, uint64_t index) -> Status {
                                if (!rig::HasContent(page, generation.options.seed,
                                                     rig::ContentOwner(name.text), index)) {
                                  KHORIG_FAIL("stores", "%s: page 0x%lx lost its content",
                                              name.text, page.address().raw());
                                }
                                return Ok{};
                              }),
          name.text);
}

uint64_t Megabytes(const Generation& generation) {
  if (generation.options.megabytes != 0) return generation.options.megabytes;
  const uint64_t free = generation.allocator.free_pages() * khocore::kPageSize >> 20;
  return free >= 96 ? 64 : free / 4;
}

void Create(Generation& generation) { CreateBlocks(generation, Megabytes(generation)); }

void Verify(Incoming& incoming) {
  VerifyBlocks(incoming);
  const Generation& generation = incoming.generation();
  const uint32_t number = generation.options.generation;
  for (uint32_t of = OldestStore(number); of < number; ++of) CheckStore(generation, of);
}

KHORIG_SCENARIO(handover) = {
    .name = "handover",
    .summary = "64 MiB in 2063 blocks of all orders, stores, log; every generation checks all",
    .expects_refusal = false,
    .clients = clients::kOwn,
    .create = Create,
    .restore = RestoreBlocks,
    .verify = Verify,
    .work = LeaveStore,
    .preserve = PreserveBlocks};

}  // namespace
}  // namespace scenarios
