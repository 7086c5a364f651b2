// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/mmu.h"

#include "kernel/arch/mmu.h"
#include "kernel/arch/x86_64/image_base.h"
#include "kernel/arch/x86_64/image_layout.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/kernel_map.h"
#include "kernel/arch/x86_64/page_tables.h"
#include "kernel/arch/x86_64/table_levels.h"
#include "kernel/base/panic.h"

/// The pool of page tables. A GiB that is RAM throughout takes an entry, where the CPU has such
/// pages; any other takes a table of 2 MiB pages, and each 512 GiB one more.
extern "C" {
__attribute__((section(".bss.tables"))) arch::TablePool __table_pool;
/// Written by start.S.
extern const uint64_t __load_address;
}

namespace arch {

using khocore::Ok;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;

const uint64_t kImageBase = IMAGE_BASE;

static_assert(khocore::kPageShift == 12);
bool HasPageSize(unsigned shift) { return shift == khocore::kPageShift; }

namespace {

uint64_t ImageOffset(const void* at) { return reinterpret_cast<uint64_t>(at) - IMAGE_BASE; }

uint64_t PhysicalOrNull(const uint64_t* table) {
  return table == nullptr ? 0 : PhysicalOf(table).raw();
}

constexpr auto kNewTableFromPool = []() -> uint64_t { return PhysicalOrNull(__table_pool.Take()); };

/// Tables are in the image, and reached there.
uint64_t Window() { return IMAGE_BASE - __load_address; }

PageTables RunningTables() {
  return PageTables(ReadCr3() & kTableAddress, PagingLevels(), Window());
}

/// The end of what the CPU can address and an identity map can reach: half of the 48-bit space.
uint64_t AddressLimit() {
  constexpr unsigned kIdentityBits = 47;
  const unsigned bits = Cpuid(0x80000000).eax >= 0x80000008 ? Cpuid(0x80000008).eax & 0xff : 36;
  return uint64_t{1} << (bits < kIdentityBits ? bits : kIdentityBits);
}

PagingFeatures Features() {
  const bool no_execute = (ReadMsr(kMsrEfer) & kEferNoExecuteEnable) != 0;
  return {.no_execute = no_execute ? kNoExecute : 0,
          .huge_pages = HasHugePages(),
          .limit = AddressLimit()};
}

Status MapIdentity(PhysRange range, uint64_t flags) {
  PageTables tables = RunningTables();
  bool changed = false;
  const Status mapped = MapIdentity(tables, Features(), range, flags, kNewTableFromPool, &changed);
  // The CPU never remembers that something is not mapped, so new entries need no flush.
  if (changed) InvalidateTranslations();
  return mapped;
}

}  // namespace

PhysAddr LoadAddress() { return PhysAddr::FromRaw(__load_address); }

PhysAddr PhysicalOf(const void* image_address) {
  return LoadAddress() + ImageOffset(image_address);
}

uint64_t ImageEntry(uint64_t root) {
  return reinterpret_cast<const uint64_t*>(root + Window())[kTableEntries - 1];
}

uint64_t NewTables(unsigned levels) {
  return ChangeLevels(ReadCr3() & kTableAddress, levels, Window(), kNewTableFromPool);
}

bool HasHugePages() {
  constexpr uint32_t kPage1Gb = uint32_t{1} << 26;  // CPUID 80000001, EDX
  return Cpuid(0x80000000).eax >= 0x80000001 && (Cpuid(0x80000001).edx & kPage1Gb) != 0;
}

const void* FindFirmwareBytes(PhysRange range) {
  constexpr PhysRange kMapped{PhysAddr(), kEarlyMapEnd};
  return kMapped.Contains(range) ? reinterpret_cast<const void*>(range.begin.raw()) : nullptr;
}

void InvalidateTranslations() { WriteCr3(ReadCr3()); }

void SetExecutable(PhysAddr page, bool executable) {
  PageTables tables = RunningTables();
  uint64_t* const entry = tables.FindLeaf(page.raw());
  KHORIG_CHECK(entry != nullptr);
  WriteEntry(entry, executable ? *entry & ~kNoExecute : *entry | Features().no_execute);
  InvalidateTranslations();
}

void MapCpuStack(size_t number, PhysAddr memory) {
  PageTables tables = RunningTables();
  const auto new_table = []() -> uint64_t { return PhysicalOrNull(__table_pool.TakeForStacks()); };
  KHORIG_CHECK(MapCpuStack(tables, Features(), number, memory, new_table));
}

void ProtectImage() {
  PageTables tables = RunningTables();
  ProtectImage(tables, Features(), __load_address,
               {.text_end = ImageOffset(__text_end),
                .rodata_end = ImageOffset(__rodata_end),
                .image_end = ImageOffset(__image_end),
                .stack_guard = ImageOffset(__stack_guard)});
  InvalidateTranslations();
}

Status MapRam(PhysRange range) {
  // What lies below is mapped from the start, and whatever has changed there is to stay.
  constexpr PhysAddr kMapped = PhysAddr::FromRaw(kEarlyMapEnd);
  if (range.Wraps() || !(range.begin < kMapped)) return MapIdentity(range, 0);
  if (range.end() <= kMapped) return Ok{};
  return MapIdentity({kMapped, range.end() - kMapped}, 0);
}

Status MapDevice(PhysRange range) { return MapIdentity(range, kWriteThrough | kCacheDisable); }

}  // namespace arch
