// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/jump_defects.h"

#include <string.h>

#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/page_tables.h"
#include "kernel/arch/x86_64/relocate.h"
#include "kernel/base/direct_map.h"

extern "C" {
extern const uint8_t __jump_defects_begin[];
extern const uint8_t __jump_defect_direction[];
extern const uint8_t __jump_defect_interrupts[];
extern const uint8_t __jump_defect_arguments[];
extern const uint8_t __jump_defect_control_bits[];
extern const uint8_t __jump_defect_software_bits[];
extern const uint8_t __jump_defects_data[];
extern const uint8_t __jump_defects_end[];
}

namespace arch {

using base::Direct;
using khocore::PhysAddr;

namespace {

/// _PAGE_NOPTISHADOW of Linux 6.14 and later.
constexpr uint64_t kSoftwareBit = uint64_t{1} << 58;

RelocatorData* DataOf(const JumpPlan& plan) {
  auto* code = Direct<uint8_t>(plan.control);
  return reinterpret_cast<RelocatorData*>(code + (__relocator_data - __relocator_begin));
}

/// What a kernel has on in CR4 and its relocator switches off.
uint64_t ControlBits(EntryDefect defect) {
  constexpr uint64_t kGlobalPages = 1 << 7;  // of Linux
  const uint64_t own = ReadCr4() & ~uint64_t{CR4_KEEP};
  return defect == EntryDefect::kControlBits ? own | kGlobalPages : own;
}

const uint8_t* CodeOf(EntryDefect defect) {
  switch (defect) {
    case EntryDefect::kDirection:
      return __jump_defect_direction;
    case EntryDefect::kInterrupts:
      return __jump_defect_interrupts;
    case EntryDefect::kArguments:
      return __jump_defect_arguments;
    case EntryDefect::kControlBits:
    case EntryDefect::kProtections:
      return __jump_defect_control_bits;
    case EntryDefect::kSoftwareBits:
      return __jump_defect_software_bits;
    case EntryDefect::kLowerLevel:
    case EntryDefect::kHostExtensions:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

bool SpoilTables(const JumpPlan& plan, PhysAddr address, TableDefect defect) {
  unsigned shift = 12 + 9 * (PagingLevels() - 1);
  PhysAddr table = PhysAddr::FromRaw(DataOf(plan)->page_tables);
  const auto entry_at = [&] { return &Direct<uint64_t>(table)[address.raw() >> shift & 511]; };
  uint64_t* entry = entry_at();
  if (defect == TableDefect::kSoftwareBits) {
    *entry |= kSoftwareBit;
    return true;
  }
  while (shift > 12 && (*entry & kLargePage) == 0) {
    table = PhysAddr::FromRaw(*entry & kTableAddress);
    shift -= 9;
    entry = entry_at();
  }
  switch (defect) {
    case TableDefect::kUnmapped:
      *entry &= ~kPresent;
      break;
    case TableDefect::kReadOnly:  // the copy runs without CR0.WP; the next kernel may not
      *entry &= ~kWritable;
      break;
    case TableDefect::kSoftwareBits:
      break;
    case TableDefect::kNotExecutable:
      *entry |= kNoExecute;
      break;
    case TableDefect::kElsewhere:
      *entry ^= uint64_t{1} << shift;
      break;
  }
  return true;
}

bool SpoilEntry(const JumpPlan& plan, EntryDefect defect, khocore::PageSource& pages) {
  const uint8_t* const code = CodeOf(defect);
  if (code == nullptr) return false;
  const uint64_t control_bits = ControlBits(defect);
  if (defect == EntryDefect::kProtections && control_bits == 0) return false;
  const auto page = pages.AllocatePage();
  if (!page.ok()) return false;
  auto* const copy = Direct<uint8_t>(page.value().address());
  memcpy(copy, __jump_defects_begin,
         static_cast<size_t>(__jump_defects_end - __jump_defects_begin));
  RelocatorData* const data = DataOf(plan);
  const uint64_t words[] = {data->entry, control_bits};
  memcpy(copy + (__jump_defects_data - __jump_defects_begin), words, sizeof(words));
  data->entry = page.value().address().raw() + static_cast<uint64_t>(code - __jump_defects_begin);
  return true;
}

bool SpoilFirmwareCall() { return false; }

}  // namespace arch
