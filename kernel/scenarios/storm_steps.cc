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

}  // namespace scenarios
