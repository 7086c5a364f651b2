// SPDX-License-Identifier: BSD-3-Clause
// Faults of loading the next kernel, and after the state is sealed.

#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/base/direct_map.h"
#include "kernel/defects/targets.h"
#include "kernel/handover/points.h"
#include "kernel/kexec/points.h"
#include "khocore/page_source.h"

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

void PlaceParametersOnKernel(kexec::PlacedParameters& placed) {
  const PhysRange kernel = placed.next.segments[0].destination;
  Fire();
  placed.place.begin = kernel.begin + (kernel.size - khocore::kPageSize);
}
KHORIG_FAULT(segment_over_segment) = FaultAt<Point::kParametersPlaced, PlaceParametersOnKernel>(
    "segment-over-segment", 1, "L6",
    "the next kernel's parameters begin in the last page of its image");

void ForgetHoles(kexec::PlacedParameters& placed) {
  static base::BootInfo machine;
  machine = *placed.boot.info;
  size_t kept = 0;
  for (size_t i = 0; i < machine.region_count; ++i) {
    if (machine.regions[i].type == base::MemoryType::kUnusable) continue;
    machine.regions[kept++] = machine.regions[i];
  }
  if (kept == machine.region_count) return;
  machine.region_count = kept;
  Fire();
  placed.boot.info = &machine;
}
KHORIG_FAULT(holes_forgotten) = FaultAt<Point::kParametersPlaced, ForgetHoles>(
    "holes-forgotten", 1, "", "the next kernel's memory map lacks the holes in RAM");

/// The next kernel believes what it is told of scratch, which it does not look for by itself.
void ShiftScratch(kexec::PlacedParameters& placed) {
  static PhysRange areas[khocore::Scratch::kMaxAreas];
  const auto& scratch = placed.boot.scratch;
  for (size_t i = 0; i < scratch.size; ++i) areas[i] = scratch.data[i];
  PhysRange& last = areas[scratch.size - 1];
  Fire();
  last = {last.begin + khocore::kPageSize, last.size - khocore::kPageSize};
  placed.boot.scratch = {areas, scratch.size};
}
KHORIG_FAULT(scratch_shrunk) = FaultAt<Point::kParametersPlaced, ShiftScratch>(
    "scratch-shrunk", 1, "E6 G8", "the last scratch area is handed on without its first page");

void PoisonPlacement(kexec::PlacedSegments& placed) {
  kexec::NextKernel& next = placed.next;
  Fire();
  next.segments[next.segment_count - 1].destination.begin =
      khocore::PhysAddr::FromRaw(0x5a5a5a5a5000);
}
KHORIG_FAULT(placement_uninitialized) = FaultAt<Point::kSegmentsPlaced, PoisonPlacement>(
    "placement-uninitialized", 1, "L1", "a segment's place is whatever the stack held");

void EnterElsewhere(kexec::PlacedSegments& placed) {
  Fire();
  placed.next.entry = placed.next.entry + 16;
}
KHORIG_FAULT(entry_misplaced) = FaultAt<Point::kSegmentsPlaced, EnterElsewhere>(
    "entry-misplaced", 1, "", "the next kernel is entered 16 bytes behind its entry");

/// The copy of the kernel overwrites them before they are copied.
void MoveSource(kexec::PlacedSegments& placed) {
  kexec::NextKernel& next = placed.next;
  arch::Segment& parameters = next.segments[next.segment_count - 1];
  const khocore::PhysAddr place = next.segments[0].destination.begin;
  Fire();
  memcpy(base::Direct<void>(place), base::Direct<void>(parameters.source), parameters.bytes);
  parameters.source = place;
}
KHORIG_FAULT(source_in_destination) = FaultAt<Point::kSegmentsPlaced, MoveSource>(
    "source-in-destination", 1, "L5",
    "the parameters wait for the copy where the next kernel's image goes");

/// Pages of the next kernel's place, from the `first`-th that is asked for on.
class DestinationPages : public khocore::PageSource {
 public:
  DestinationPages(kexec::PlacedSegments& placed, unsigned first)
      : allocator_(placed.request.allocator),
        next_(khocore::PageFrame::Containing(placed.next.segments[0].destination.begin)),
        first_(first) {}

  khocore::Result<khocore::PageFrame> AllocatePage() override {
    if (count_++ < first_) return allocator_.AllocatePage();
    const khocore::PageFrame page = next_;
    next_ = next_ + 1;
    memset(base::Direct<void>(page.address()), 0, khocore::kPageSize);
    return page;
  }
  void FreePage(khocore::PageFrame) override {}

 private:
  khocore::PageSource& allocator_;
  khocore::PageFrame next_;
  unsigned first_;
  unsigned count_ = 0;
};

void PlaceRelocator(kexec::PlacedSegments& placed) {
  static DestinationPages pages(placed, 0);
  Fire();
  placed.pages = &pages;
}
KHORIG_FAULT(relocator_in_destination) = FaultAt<Point::kSegmentsPlaced, PlaceRelocator>(
    "relocator-in-destination", 1, "L4", "the relocator lies where the next kernel's image goes");

/// On both architectures the first two pages are code and plan, and the last ones are tables.
void PlaceTables(kexec::PlacedSegments& placed) {
  static DestinationPages pages(placed, 2);
  Fire();
  placed.pages = &pages;
}
KHORIG_FAULT(tables_in_destination) = FaultAt<Point::kSegmentsPlaced, PlaceTables>(
    "tables-in-destination", 1, "J2",
    "the relocator's page tables lie where the next kernel's image goes");

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
