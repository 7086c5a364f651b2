// SPDX-License-Identifier: BSD-3-Clause
// Faults of loading the next kernel, and after the state is sealed.

#include "kernel/arch/cpu.h"
#include "kernel/base/direct_map.h"
#include "kernel/defects/targets.h"
#include "kernel/handover/points.h"
#include "kernel/kexec/points.h"

namespace defects {
namespace {

using handover::Outgoing;
using khocore::PhysRange;
using rig::FaultAt;
using rig::Fire;
using rig::Point;

void PlaceParametersOnBlock(kexec::PlacedParameters& placed) {
  const auto& physical = placed.request.ram;
  const PhysRange block = LargestPreserved(physical, TrackerOf(physical, placed.request.kho_root));
  if (block.size < placed.place.size) return;
  Fire();
  placed.place = block;
}
KHORIG_FAULT(segment_outside_scratch) = FaultAt<Point::kParametersPlaced, PlaceParametersOnBlock>(
    "segment-outside-scratch", 1, "L3",
    "a segment of the next kernel is placed over a preserved block");

void WriteBlock(Outgoing& outgoing) {
  const PhysRange target = LargestPreserved(outgoing.physical(), outgoing.tracker().root());
  if (target.size == 0) return;
  Fire();
  *base::Direct<volatile uint8_t>(target.begin) ^= 1;
}
KHORIG_FAULT(write_after_seal) = FaultAt<Point::kSealed, WriteBlock>(
    "write-after-seal", 1, "R14", "a byte of a preserved page is written after sealing");

void Hang(Outgoing&) {
  Fire();
  for (;;) arch::Pause();
}
KHORIG_FAULT(hang_before_jump) =
    FaultAt<Point::kSealed, Hang>("hang-before-jump", 1, "", "the kernel loops instead of jumping");

}  // namespace
}  // namespace defects
