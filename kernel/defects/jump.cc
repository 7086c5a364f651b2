// SPDX-License-Identifier: BSD-3-Clause
// Faults of the jump itself: the tables that the copy runs on, and how the next kernel is entered.

#include <string.h>

#include "kernel/arch/jump_defects.h"
#include "kernel/kexec/points.h"

namespace defects {
namespace {

using arch::EntryDefect;
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
        "the relocator's page tables map a destination read-only");
KHORIG_FAULT(destination_elsewhere) =
    FaultAt<Point::kJumpPrepared, SpoilTables<TableDefect::kElsewhere>>(
        "destination-elsewhere", 1, "", "the relocator's page tables map a destination elsewhere");
KHORIG_FAULT(transition_software_bits) =
    FaultAt<Point::kJumpPrepared, SpoilTables<TableDefect::kSoftwareBits>>(
        "transition-software-bits", 1, "N1",
        "an entry of the relocator's page tables has a bit that is this kernel's own");

void ForbidCode(kexec::PreparedJump& jump) {
  const arch::JumpPlan& plan = jump.next.plan;
  for (size_t i = 0; i < plan.page_count; ++i) {
    const arch::JumpPage& page = plan.pages[i];
    if (strcmp(page.rights, "rx") != 0) continue;
    if (arch::SpoilTables(plan, page.address, TableDefect::kNotExecutable)) Fire();
  }
}
KHORIG_FAULT(relocator_not_executable) = FaultAt<Point::kJumpPrepared, ForbidCode>(
    "relocator-not-executable", 1, "", "the relocator's page tables forbid its own code");

template <EntryDefect kDefect>
void SpoilEntry(kexec::PreparedJump& jump) {
  if (arch::SpoilEntry(jump.next.plan, kDefect, jump.request.allocator)) Fire();
}
KHORIG_FAULT(entered_with_direction) =
    FaultAt<Point::kJumpPrepared, SpoilEntry<EntryDefect::kDirection>>(
        "entered-with-direction-flag", 1, "J15",
        "the next kernel is entered with RFLAGS.DF set (x86_64)");
KHORIG_FAULT(entered_with_interrupts) =
    FaultAt<Point::kJumpPrepared, SpoilEntry<EntryDefect::kInterrupts>>(
        "entered-with-interrupts", 1, "J15", "the next kernel is entered with interrupts on");
KHORIG_FAULT(entered_with_arguments) =
    FaultAt<Point::kJumpPrepared, SpoilEntry<EntryDefect::kArguments>>(
        "entered-with-wrong-arguments", 1, "J14",
        "the next kernel is entered with a wrong argument register");
KHORIG_FAULT(entered_with_control_bits) =
    FaultAt<Point::kJumpPrepared, SpoilEntry<EntryDefect::kControlBits>>(
        "entered-with-control-bits", 1, "J6",
        "the next kernel is entered with bits of the old one in a control register");
KHORIG_FAULT(entered_with_protections) =
    FaultAt<Point::kJumpPrepared, SpoilEntry<EntryDefect::kProtections>>(
        "entered-with-protections", 1, "J6",
        "the next kernel is entered with SMEP, SMAP, UMIP and PKE on (x86_64 CPUs that have one)");
KHORIG_FAULT(entered_at_lower_level) =
    FaultAt<Point::kJumpPrepared, SpoilEntry<EntryDefect::kLowerLevel>>(
        "entered-at-el1", 1, "J12",
        "the next kernel is entered at EL1 (arm64 at EL2: -- -machine virtualization=on)");
KHORIG_FAULT(entered_with_host_extensions) =
    FaultAt<Point::kJumpPrepared, SpoilEntry<EntryDefect::kHostExtensions>>(
        "entered-with-vhe", 1, "J12",
        "the next kernel is entered with HCR_EL2.E2H set (arm64 at EL2 with VHE)");

}  // namespace
}  // namespace defects
