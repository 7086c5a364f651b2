// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/random.h"
#include "khocore/types.h"

namespace scenarios {

/// The steps of scenario `storm` and their outcome, both decided by the seed (docs/scenarios.md).

inline constexpr khocore::Order kStormRegion = khocore::Order::FromLog2(10);
inline constexpr khocore::Order kStormGroup = khocore::Order::FromLog2(3);
inline constexpr uint64_t kStormPages = kStormRegion.pages();
inline constexpr uint64_t kStormGroups = kStormPages / kStormGroup.pages();
/// Fragments of each CPU.
inline constexpr uint64_t kStormSlots = 8;
/// Contended pages: every CPU tries to preserve all, and then to unpreserve those with odd numbers.
inline constexpr khocore::Order kStormContended = khocore::Order::FromLog2(6);

/// One step of one CPU.
struct StormStep {
  bool is_fragment;
  uint64_t slot;     ///< of a fragment
  uint64_t version;  ///< of a fragment
  khocore::Order order;
  uint64_t at;  ///< page of the region
};

/// The steps of one CPU in one generation.
class StormSteps {
 public:
  StormSteps(uint64_t seed, uint32_t generation, size_t cpu, size_t cpus);
  StormStep Next();

 private:
  base::Random random_;
  uint64_t cpu_;
  uint64_t cpus_;
};

}  // namespace scenarios
