// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/jump_defects.h"

#include <string.h>

#include "kernel/arch/arm64/jump_plan.h"
#include "kernel/arch/arm64/machine.h"
#include "kernel/arch/arm64/mmu.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/base/direct_map.h"

extern "C" {
extern const uint8_t jump_defects_begin[];
extern const uint8_t jump_defect_interrupts[];
extern const uint8_t jump_defect_arguments[];
extern const uint8_t jump_defect_control_bits[];
extern const uint8_t jump_defect_lower_level[];
extern const uint8_t jump_defect_host_extensions[];
extern const uint8_t jump_defects_data[];
extern const uint8_t jump_defects_end[];
}

namespace arch {

using base::Direct;
using khocore::PhysAddr;

namespace {

/// Of those that the architecture leaves to software.
constexpr uint64_t kSoftwareBit = uint64_t{1} << 55;

const uint8_t* CodeOf(EntryDefect defect) {
  switch (defect) {
    case EntryDefect::kDirection:
    case EntryDefect::kProtections:
    case EntryDefect::kSoftwareBits:
      return nullptr;
    case EntryDefect::kInterrupts:
      return jump_defect_interrupts;
    case EntryDefect::kArguments:
      return jump_defect_arguments;
    case EntryDefect::kControlBits:
      return jump_defect_control_bits;
    case EntryDefect::kLowerLevel:
      return AtEl2() ? jump_defect_lower_level : nullptr;
    case EntryDefect::kHostExtensions:
      return AtEl2() && HasVhe() ? jump_defect_host_extensions : nullptr;
  }
  return nullptr;
}

}  // namespace

bool SpoilTables(const JumpPlan& plan, PhysAddr address, TableDefect defect) {
  auto* const root = Direct<uint64_t>(PhysAddr::FromRaw(Direct<Plan>(plan.control)->table));
  uint64_t* const entry = FindTransitionEntry(root, address);
  if (entry == nullptr) return false;
  switch (defect) {
    case TableDefect::kUnmapped:
      *entry &= ~kTypeMask;
      break;
    case TableDefect::kReadOnly:
      *entry |= kReadOnly;
      break;
    case TableDefect::kSoftwareBits:
      *entry |= kSoftwareBit;
      break;
    case TableDefect::kNotExecutable:
      *entry |= kNever | kPrivilegedNever;
      break;
    case TableDefect::kElsewhere:
      *entry ^= kLargestBlock;
      break;
  }
  return true;
}

bool SpoilEntry(const JumpPlan& plan, EntryDefect defect, khocore::PageSource& pages) {
  const uint8_t* const code = CodeOf(defect);
  if (code == nullptr) return false;
  const auto page = pages.AllocatePage();
  if (!page.ok()) return false;
  const PhysAddr place = page.value().address();
  auto* const copy = Direct<uint8_t>(place);
  memcpy(copy, jump_defects_begin, static_cast<size_t>(jump_defects_end - jump_defects_begin));
  auto* const words = Direct<Plan>(plan.control);
  memcpy(copy + (jump_defects_data - jump_defects_begin), &words->entry, sizeof(words->entry));
  words->entry = place.raw() + static_cast<uint64_t>(code - jump_defects_begin);
  CleanToMemory({place, khocore::kPageSize});
  return true;
}

bool SpoilFirmwareCall() {
  if (this_machine.psci == Machine::Psci::kNone) return false;
  this_machine.psci = Machine::Psci::kHvc;
  return true;
}

}  // namespace arch
