// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/mode_defects.h"

#include "kernel/arch/image_constants.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/x86_64/image_base.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/page_tables.h"

namespace arch {

namespace {

/// The entry record (boot/linux_image/x86_64/entry.S), all zero after PVH.
struct EntryRecord {
  uint64_t rflags, cr0, cr4, efer, rsi, cr3;
};

}  // namespace

bool SpoilMode(ModeDefect defect) {
  if (defect == ModeDefect::kWriteProtection) {
    constexpr uint64_t kWriteProtect = 1 << 16;
    WriteCr0(ReadCr0() & ~kWriteProtect);
    return true;
  }
  constexpr uint64_t kSmep = 1 << 20;
  const uint64_t cr4 = ReadCr4();
  WriteCr4(cr4 & ~kSmep);
  return (cr4 & kSmep) != 0;
}

const volatile uint64_t* UnmaskedTable() {
  const auto* entered = reinterpret_cast<const EntryRecord*>(IMAGE_BASE + ENTRY_RECORD_OFFSET);
  if ((entered->cr4 & kCr4FiveLevelPaging) == 0) return nullptr;
  const khocore::PhysRange top{khocore::PhysAddr::FromRaw(entered->cr3 & kTableAddress),
                               khocore::kPageSize};
  if (!MapRam(top).ok()) return nullptr;
  const uint64_t entry = *reinterpret_cast<const uint64_t*>(top.begin.raw());
  return reinterpret_cast<const volatile uint64_t*>(entry & ~(khocore::kPageSize - 1));
}

}  // namespace arch
