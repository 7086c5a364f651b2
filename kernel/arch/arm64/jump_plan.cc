// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/jump_plan.h"

#include "kernel/base/panic.h"

namespace arch {

void FillPlan(khocore::Span<const Segment> segments, khocore::PhysAddr entry,
              khocore::PhysAddr parameters, Plan* plan) {
  KHORIG_CHECK(segments.size <= Plan::kMaxCopies);
  plan->entry = entry.raw();
  plan->parameters = parameters.raw();
  plan->copy_count = segments.size;
  for (size_t i = 0; i < segments.size; ++i) {
    const Segment& segment = segments[i];
    KHORIG_CHECK(segment.bytes <= segment.destination.size);
    plan->copies[i] = {segment.source.raw(), segment.bytes, segment.destination.begin.raw(),
                       segment.destination.size};
  }
}

}  // namespace arch
