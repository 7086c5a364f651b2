// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/scenarios/region_model.h"

#include "kernel/base/direct_map.h"
#include "kernel/rig/require.h"

namespace scenarios {

using clients::Stores;
using clients::stores;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::Status;

Action ActionOn(const uint8_t* pages, uint64_t at, Order order) {
  if (pages[at] == 1 + order.log2()) return Action::kUnpreserve;
  for (uint64_t i = 0; i < order.pages(); ++i) {
    if (pages[at + i] != 0) return Action::kNothing;
  }
  return Action::kPreserve;
}

void Apply(uint8_t* pages, uint64_t at, Order order, Action action) {
  if (action == Action::kNothing) return;
  const bool preserved = action == Action::kPreserve;
  for (uint64_t i = 0; i < order.pages(); ++i) pages[at + i] = preserved ? kModelTail : 0;
  if (preserved) pages[at] = static_cast<uint8_t>(1 + order.log2());
}

void* PageOfStore(const handover::Generation& generation, const char* name, uint64_t size) {
  const Stores::Store* store = stores.Find(name);
  if (store == nullptr || store->size != size) rig::RequireMissing(name);
  PageFrame first;
  rig::Require(Stores::ForEachPage(generation.physical, *store,
                                   [&](PageFrame page, uint64_t) -> Status {
                                     first = page;
                                     return Ok{};
                                   }),
               name);
  return base::Direct<void>(first.address());
}

}  // namespace scenarios
