// SPDX-License-Identifier: BSD-3-Clause
// Faults of the jump itself: the tables that the copy runs on, and how the next kernel is entered.

#include "kernel/arch/jump_defects.h"
#include "kernel/kexec/points.h"

namespace defects {
namespace {

using arch::TableDefect;
using rig::FaultAt;
using rig::Fire;
using rig::Point;

template <TableDefect kDefect>
void SpoilTables(kexec::PreparedJump& jump) {
  const auto destination = jump.next.segments[0].destination.begin;
  if (arch::SpoilTables(jump.next.plan, destination, kDefect)) Fire();
}
KHORIG_FAULT(destination_unmapped) =
    FaultAt<Point::kJumpPrepared, SpoilTables<TableDefect::kUnmapped>>(
        "destination-unmapped", 1, "J3 J10", "the relocator's page tables lack a destination");
KHORIG_FAULT(destination_read_only) =
    FaultAt<Point::kJumpPrepared, SpoilTables<TableDefect::kReadOnly>>(
        "destination-read-only", 1, "N2",
        "the relocator's page tables map a destination read-only (arm64)");

}  // namespace
}  // namespace defects
