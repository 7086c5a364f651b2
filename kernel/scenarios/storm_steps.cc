// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/scenarios/storm_steps.h"

#include "kernel/arch/cpus.h"

namespace scenarios {

using khocore::Order;

StormSteps::StormSteps(uint64_t seed, uint32_t generation, size_t cpu, size_t cpus)
    : random_(base::Random::ForPurpose(seed + generation * arch::kMaxCpus + cpu, "storm")),
      cpu_(cpu),
      cpus_(cpus) {}

StormStep StormSteps::Next() {
  constexpr uint64_t kKinds = 16;
  StormStep step{};
  step.is_fragment = random_.Below(kKinds) == 0;
  if (step.is_fragment) {
    step.slot = random_.Below(kStormSlots);
    step.version = random_.Next();
    return step;
  }
  step.order = Order::FromLog2(static_cast<unsigned>(random_.Below(kStormGroup.log2() + 1)));
  const uint64_t groups = (kStormGroups - cpu_ + cpus_ - 1) / cpus_;
  const uint64_t group = random_.Below(groups) * cpus_ + cpu_;
  const uint64_t inside = random_.Below(kStormGroup.pages() >> step.order.log2());
  step.at = group * kStormGroup.pages() + (inside << step.order.log2());
  return step;
}

StormAction ActionOf(const uint8_t* pages, const StormStep& step) {
  if (pages[step.at] == 1 + step.order.log2()) return StormAction::kUnpreserve;
  for (uint64_t i = 0; i < step.order.pages(); ++i) {
    if (pages[step.at + i] != 0) return StormAction::kNothing;
  }
  return StormAction::kPreserve;
}

void ApplyStep(uint8_t* pages, const StormStep& step, StormAction action) {
  if (action == StormAction::kNothing) return;
  const bool preserved = action == StormAction::kPreserve;
  for (uint64_t i = 0; i < step.order.pages(); ++i) {
    pages[step.at + i] = preserved ? kStormTail : 0;
  }
  if (preserved) pages[step.at] = static_cast<uint8_t>(1 + step.order.log2());
}

}  // namespace scenarios
