// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/mmu.h"

#include <string.h>

#include "kernel/arch/mmu.h"
#include "kernel/arch/x86_64/image_layout.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/page_tables.h"
#include "kernel/base/panic.h"

/// The pool of page tables. A GiB that is RAM throughout takes an entry, where the CPU has such
/// pages; any other takes a table of 2 MiB pages, and each 512 GiB one more.
extern "C" {
__attribute__((section(".bss.tables"))) arch::TablePool __table_pool;
/// Written by start.S.
extern const uint64_t __load_address;
}

namespace arch {

using khocore::AlignDown;
using khocore::AlignUp;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;
using khocore::Status;

const uint64_t kImageBase = 0xffffffff80000000;

namespace {

uint64_t ImageAddress(const void* p) { return reinterpret_cast<uint64_t>(p); }

constexpr auto kNewTableFromPool = []() -> uint64_t {
  const uint64_t* table = __table_pool.Take();
  return table == nullptr ? 0 : PhysicalOf(table).raw();
};

PageTables RunningTables() {
  return PageTables(ReadCr3() & kTableAddress, PagingLevels(), kImageBase - __load_address);
}

uint64_t NoExecuteBit() { return ReadMsr(kMsrEfer) & kEferNoExecuteEnable ? kNoExecute : 0; }

/// The end of what the CPU can address and an identity map can reach: half of the 48-bit space.
uint64_t AddressLimit() {
  constexpr unsigned kIdentityBits = 47;
  const unsigned bits = Cpuid(0x80000000).eax >= 0x80000008 ? Cpuid(0x80000008).eax & 0xff : 36;
  return uint64_t{1} << (bits < kIdentityBits ? bits : kIdentityBits);
}

/// Maps the 2 MiB pages that are not mapped yet, and adds `flags` to those that are. Returns
/// whether an entry in use was changed.
bool MapEntries(Span<uint64_t> entries, uint64_t begin, uint64_t flags, uint64_t no_execute) {
  const uint64_t wanted = flags | kPresent;
  bool changed = false;
  uint64_t at = begin;
  for (uint64_t& entry : entries) {
    if ((entry & wanted) != wanted) {
      changed = changed || (entry & kPresent) != 0;
      entry = entry & kPresent ? entry | flags : at | wanted | kWritable | kLargePage | no_execute;
    }
    at += kLargePageSize;
  }
  return changed;
}

/// Maps each GiB from `begin` on that is not mapped yet, up to the end of these entries or of the
/// whole GiBs before `end`. Returns where it stopped: at an entry that is in use otherwise, too.
uint64_t MapHugeEntries(Span<uint64_t> entries, uint64_t begin, uint64_t end, uint64_t no_execute) {
  uint64_t at = begin;
  for (uint64_t& entry : entries) {
    if (entry != 0 || at % kHugePageSize != 0 || end - at < kHugePageSize) break;
    entry = at | kPresent | kWritable | kLargePage | no_execute;
    at += kHugePageSize;
  }
  return at;
}

/// Maps from `begin` to `end`, multiples of 2 MiB. Errors: as `MapRam`.
Status MapPages(PageTables& tables, uint64_t begin, uint64_t end, uint64_t flags, bool* changed) {
  const uint64_t no_execute = NoExecuteBit();
  const bool huge_pages = HasHugePages() && flags == 0;
  for (uint64_t at = begin; at < end;) {
    const PhysAddr where = PhysAddr::FromRaw(at);
    const Span<uint64_t> huge = tables.Make(at, Leaf::kHugePage, kNewTableFromPool);
    if (huge.size == 0) return khocore::Error{ErrorCode::kOutOfMemory, where};
    if (huge_pages) {
      const uint64_t mapped = MapHugeEntries(huge, at, end, no_execute);
      if (mapped != at) {
        at = mapped;
        continue;
      }
    }
    if ((huge[0] & kLargePage) != 0) {
      if (flags != 0) return khocore::Error{ErrorCode::kOverlap, where, huge[0], flags};
      at = AlignDown(at, kHugePageSize) + kHugePageSize;
      continue;
    }
    Span<uint64_t> entries = tables.Make(at, Leaf::kLargePage, kNewTableFromPool);
    if (entries.size == 0) return khocore::Error{ErrorCode::kOutOfMemory, where};
    const uint64_t wanted = (end - at) / kLargePageSize;
    if (entries.size > wanted) entries.size = wanted;
    *changed = MapEntries(entries, at, flags, no_execute) || *changed;
    at += entries.size * kLargePageSize;
  }
  return Ok{};
}

Status MapIdentity(PhysRange range, uint64_t flags) {
  const uint64_t limit = AddressLimit();
  const uint64_t begin = AlignDown(range.begin.raw(), kLargePageSize);
  const bool beyond = range.Wraps() || range.end().raw() > limit;
  const uint64_t end = beyond ? limit : AlignUp(range.end().raw(), kLargePageSize);
  PageTables tables = RunningTables();
  bool changed = false;
  const Status mapped = MapPages(tables, begin, end, flags, &changed);
  // The CPU never remembers that something is not mapped, so new entries need no flush.
  if (changed) WriteCr3(ReadCr3());
  if (mapped.ok() && beyond) {
    const PhysAddr where = PhysAddr::FromRaw(begin < limit ? limit : range.begin.raw());
    return khocore::Error{ErrorCode::kOutsideRam, where, range.size, limit};
  }
  return mapped;
}

void ProtectImagePages(PageTables& tables) {
  const uint64_t no_execute = NoExecuteBit();
  const Span<uint64_t> entries = tables.Find(kImageBase, Leaf::kPage);
  const auto index = [](const void* at) {
    return (ImageAddress(at) - kImageBase) / khocore::kPageSize;
  };
  const struct {
    uint64_t* end;
    uint64_t flags;
  } parts[] = {{&entries[index(__text_end)], kPresent},
               {&entries[index(__rodata_end)], kPresent | no_execute},
               {&entries[index(__image_end)], kPresent | kWritable | no_execute}};
  uint64_t* entry = entries.begin();
  for (const auto& part : parts) {
    const uint64_t flags = part.flags;
    for (uint64_t* const end = part.end; entry != end; ++entry) {
      *entry = (*entry & kTableAddress) | flags;
    }
  }
  memset(entry, 0, static_cast<size_t>(entries.end() - entry) * sizeof(*entry));
  entries[index(__stack_guard)] = 0;
}

/// The early map had to be executable one to one, because the CPU came from there.
void ForbidExecution(PageTables& tables, uint64_t begin, uint64_t end) {
  const uint64_t no_execute = NoExecuteBit();
  for (uint64_t at = begin; at < end;) {
    for (uint64_t& entry : tables.Find(at, Leaf::kLargePage)) {
      if (at >= end) break;
      entry |= no_execute;
      at += kLargePageSize;
    }
  }
}

}  // namespace

PhysAddr LoadAddress() { return PhysAddr::FromRaw(__load_address); }

PhysAddr PhysicalOf(const void* image_address) {
  return LoadAddress() + (ImageAddress(image_address) - kImageBase);
}

uint64_t ImageEntry() {
  const uint64_t window = kImageBase - __load_address;
  return reinterpret_cast<const uint64_t*>((ReadCr3() & kTableAddress) + window)[kTableEntries - 1];
}

bool HasHugePages() {
  constexpr uint32_t kPage1Gb = uint32_t{1} << 26;  // CPUID 80000001, EDX
  return Cpuid(0x80000000).eax >= 0x80000001 && (Cpuid(0x80000001).edx & kPage1Gb) != 0;
}

void AllowExecution(PhysAddr page) {
  PageTables tables = RunningTables();
  uint64_t* const entry = tables.FindLeaf(page.raw());
  KHORIG_CHECK(entry != nullptr);
  *entry &= ~kNoExecute;
  WriteCr3(ReadCr3());
}

void ProtectImage() {
  PageTables tables = RunningTables();
  ProtectImagePages(tables);
  ForbidExecution(tables, 0, kEarlyMapEnd);
  ForbidExecution(tables, AlignDown(__load_address, kLargePageSize),
                  AlignUp(__load_address + kLargePageSize, kLargePageSize));
  WriteCr3(ReadCr3());
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
