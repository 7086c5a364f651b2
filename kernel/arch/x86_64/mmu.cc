// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/mmu.h"

#include "kernel/arch/arch.h"
#include "kernel/arch/x86_64/image_layout.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/page_tables.h"

/// The pool of page tables. A table of 2 MiB pages maps 1 GiB, so the pool's 64 pages beyond the
/// early map reach 62 GiB of contiguous RAM or more above 4 GiB, and less when RAM is scattered:
/// each GiB that is touched costs one page, each 512 GiB another.
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
  bool changed = false;
  uint64_t at = begin;
  for (uint64_t& entry : entries) {
    if (entry & kPresent) {
      changed = changed || (entry & flags) != flags;
      entry |= flags;
    } else {
      entry = at | flags | kPresent | kWritable | kLargePage | no_execute;
    }
    at += kLargePageSize;
  }
  return changed;
}

Status MapIdentity(PhysRange range, uint64_t flags) {
  const uint64_t limit = AddressLimit();
  if (range.Wraps() || range.end().raw() > limit) {
    return khocore::Error{ErrorCode::kOutsideRam, range.begin, range.size, limit};
  }
  PageTables tables = RunningTables();
  const uint64_t no_execute = NoExecuteBit();
  bool changed = false;
  const uint64_t end = AlignUp(range.end().raw(), kLargePageSize);
  for (uint64_t at = AlignDown(range.begin.raw(), kLargePageSize); at < end;) {
    Span<uint64_t> entries = tables.Make(at, Leaf::kLargePage, kNewTableFromPool);
    if (entries.size == 0) return khocore::Error{ErrorCode::kOutOfMemory, PhysAddr::FromRaw(at)};
    const uint64_t wanted = (end - at) / kLargePageSize;
    if (entries.size > wanted) entries.size = wanted;
    changed = MapEntries(entries, at, flags, no_execute) || changed;
    at += entries.size * kLargePageSize;
  }
  // The CPU never remembers that something is not mapped, so new entries need no flush.
  if (changed) WriteCr3(ReadCr3());
  return Ok{};
}

void ProtectImagePages(PageTables& tables) {
  const uint64_t no_execute = NoExecuteBit();
  uint64_t at = kImageBase;
  for (uint64_t& entry : tables.Find(kImageBase, Leaf::kPage)) {
    const uint64_t physical = entry & kTableAddress;
    if (at >= ImageAddress(__image_end) || at == ImageAddress(__stack_guard)) {
      entry = 0;
    } else if (at < ImageAddress(__text_end)) {
      entry = physical | kPresent;
    } else if (at < ImageAddress(__rodata_end)) {
      entry = physical | kPresent | no_execute;
    } else {
      entry = physical | kPresent | kWritable | no_execute;
    }
    at += khocore::kPageSize;
  }
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

void AllowExecution(PhysAddr page) {
  PageTables tables = RunningTables();
  tables.Find(page.raw(), Leaf::kLargePage)[0] &= ~kNoExecute;
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

Status MapRam(PhysRange range) { return MapIdentity(range, 0); }

Status MapDevice(PhysRange range) { return MapIdentity(range, kWriteThrough | kCacheDisable); }

}  // namespace arch
