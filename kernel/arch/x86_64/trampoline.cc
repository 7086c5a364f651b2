// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/trampoline.h"

#include <string.h>

#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/mmu.h"
#include "kernel/arch/x86_64/page_tables.h"

extern "C" {
extern const uint8_t __trampoline_begin[];
extern const uint8_t __trampoline_long_mode[];
extern const uint8_t __trampoline_gdt[];
extern const uint8_t __trampoline_data[];
extern const uint8_t __trampoline_end[];
}

namespace arch {

using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

/// The code, then the tables it runs on.
constexpr uint64_t kPages = 5;

PhysRange FindPlace(const base::BootInfo& info) {
  constexpr uint64_t kLegacyEnd = 0xa0000;
  const auto is_free = [&info](PhysRange place) {
    bool ram = false;
    for (size_t i = 0; i < info.region_count; ++i) {
      const base::MemoryRegion& region = info.regions[i];
      if (region.type == base::MemoryType::kRam) {
        ram |= region.range.Contains(place);
      } else if (region.range.Overlaps(place)) {
        return false;
      }
    }
    for (size_t i = 0; i < info.keep_count; ++i) ram &= !info.keep[i].Overlaps(place);
    return ram && !info.image.Overlaps(place) && !info.initrd.Overlaps(place);
  };
  // Page 0 is the BIOS's.
  for (uint64_t at = kPageSize; at < kLegacyEnd; at += kPageSize) {
    const PhysRange place{PhysAddr::FromRaw(at), kPages * kPageSize};
    if (place.end().raw() <= kLegacyEnd && is_free(place)) return place;
  }
  return {};
}

/// Builds tables behind the code: the first 2 MiB, and the image where the kernel has it.
uint64_t BuildTables(uint64_t base, unsigned levels, uint64_t kernel_tables) {
  uint64_t next = base;
  const auto new_table = [&next] { return next += kPageSize; };
  PageTables tables(new_table(), levels, 0);
  tables.Map(0, 0, kLargePageSize, Leaf::kLargePage, kPresent | kWritable, new_table);
  reinterpret_cast<uint64_t*>(tables.root())[kTableEntries - 1] = ImageEntry(kernel_tables);
  return tables.root();
}

}  // namespace

Trampoline WriteTrampoline(const base::BootInfo& info, unsigned levels, uint64_t tables,
                           uint64_t cr4) {
  const PhysRange place = FindPlace(info);
  if (place.size == 0) return {};
  const uint64_t base = place.begin.raw();
  memset(reinterpret_cast<void*>(base), 0, place.size);
  memcpy(reinterpret_cast<void*>(base), __trampoline_begin,
         static_cast<size_t>(__trampoline_end - __trampoline_begin));
  const auto address = [base](const uint8_t* symbol) {
    return base + static_cast<uint64_t>(symbol - __trampoline_begin);
  };
  auto* const data = reinterpret_cast<TrampolineData*>(address(__trampoline_data));
  data->long_mode = static_cast<uint32_t>(address(__trampoline_long_mode));
  data->gdt = address(__trampoline_gdt);
  data->root = static_cast<uint32_t>(BuildTables(base, levels, tables));
  data->cr4 = static_cast<uint32_t>(cr4);
  data->efer = static_cast<uint32_t>(EFER_LME | (ReadMsr(kMsrEfer) & kEferNoExecuteEnable));
  data->tables = tables;
  return {place, data};
}

}  // namespace arch
