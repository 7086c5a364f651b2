// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/page_tables.h"

#include <string.h>

#include "kernel/arch/arm64/console.h"

namespace arch {

using khocore::AlignDown;
using khocore::AlignUp;
using khocore::Error;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::Ok;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;

namespace {

uint64_t Address(const Table* table) { return reinterpret_cast<uint64_t>(table); }
Table* Below(uint64_t entry) { return reinterpret_cast<Table*>(entry & kAddressMask); }

/// A table walker may read the entry at any time, so it is written once and whole.
void Write(uint64_t* entry, uint64_t value) { __atomic_store_n(entry, value, __ATOMIC_RELAXED); }

bool SameMemory(uint64_t entry, uint64_t attributes) {
  return ((entry ^ attributes) & kMemoryMask) == 0;
}

}  // namespace

uint64_t Attributes(Regime regime, uint64_t memory, Rights rights) {
  const bool executable = rights == Rights::kReadExecute || rights == Rights::kAll;
  const bool writable = rights == Rights::kReadWrite || rights == Rights::kAll;
  const uint64_t bits = memory | kAccessed | (writable ? 0 : kReadOnly);
  if (regime == Regime::kEl2) return bits | kEl0 | (executable ? 0 : kNever);
  return bits | kNever | (executable ? 0 : kPrivilegedNever);
}

/// A zeroed table at its physical address, or null. The walker finds the zeros before any link to
/// it that is written afterwards.
Table* KernelMap::TakeTable() {
  const uint64_t number = pool_used;
  if (number == kEarlyTables + RunningTables::kRunningTables) return nullptr;
  ++pool_used;
  Table* const table =
      number < kEarlyTables ? &pool[number] : &running->pool[number - kEarlyTables];
  memset(table, 0, sizeof(*table));
  PublishTables();
  return table;
}

Status KernelMap::MapGrain(uint64_t* level1_entry, uint64_t address, uint64_t attributes) {
  if ((*level1_entry & kTypeMask) != kTable) {
    const Table* const fresh = TakeTable();
    if (fresh == nullptr) return Error{ErrorCode::kOutOfMemory, PhysAddr::FromRaw(address)};
    Write(level1_entry, Address(fresh) | kTable);
  }
  uint64_t* const entry = &Below(*level1_entry)->entries[address / kGrainSize % kEntries];
  if (*entry == 0) {
    Write(entry, address | attributes | kBlock);
  } else if (!SameMemory(*entry, attributes)) {
    return Error{ErrorCode::kOverlap, PhysAddr::FromRaw(address), *entry, attributes};
  }
  return Ok{};
}

Status KernelMap::MapEntries(PhysRange range, uint64_t attributes) {
  if (range.size == 0) return Ok{};
  const bool beyond = range.Wraps() || range.end().raw() > kAddressLimit;
  const uint64_t end = beyond ? kAddressLimit : AlignUp(range.end().raw(), kGrainSize);
  uint64_t at = AlignDown(range.begin.raw(), kGrainSize);
  while (at < end) {
    uint64_t* const entry = &level1.entries[at / kGigabyte];
    if (*entry == 0 && at % kGigabyte == 0 && end - at >= kGigabyte) {
      Write(entry, at | attributes | kBlock);
    }
    if ((*entry & kTypeMask) == kBlock) {
      if (!SameMemory(*entry, attributes)) {
        return Error{ErrorCode::kOverlap, PhysAddr::FromRaw(at), *entry, attributes};
      }
      at = AlignDown(at, kGigabyte) + kGigabyte;
    } else {
      KHOCORE_RETURN_IF_ERROR(MapGrain(entry, at, attributes));
      at += kGrainSize;
    }
  }
  if (beyond) {
    const PhysAddr limit = PhysAddr::FromRaw(kAddressLimit);
    return Error{ErrorCode::kOutsideRam, range.begin < limit ? limit : range.begin, range.size,
                 kAddressLimit};
  }
  return Ok{};
}

Status KernelMap::MapIdentity(PhysRange range, uint64_t memory, Rights rights) {
  const Status status = MapEntries(range, Attributes(regime, memory, rights));
  PublishTables();
  return status;
}

uint64_t* KernelMap::FindLeaf(PhysAddr address) {
  if (!(address.raw() < kAddressLimit)) return nullptr;
  uint64_t* const entry = &level1.entries[address.raw() / kGigabyte];
  if ((*entry & kTypeMask) == kBlock) return entry;
  if ((*entry & kTypeMask) != kTable) return nullptr;
  uint64_t* const below = &Below(*entry)->entries[address.raw() / kGrainSize % kEntries];
  return *below != 0 ? below : nullptr;
}

void KernelMap::ProtectImage(PhysAddr image, const ImageParts& parts) {
  for (uint64_t at = 0; at < parts.image_end; at += kPageSize) {
    const Rights rights = at < parts.text_end     ? Rights::kReadExecute
                          : at < parts.rodata_end ? Rights::kRead
                                                  : Rights::kReadWrite;
    Write(&image_level3.entries[at / kPageSize],
          (image + at).raw() | Attributes(regime, kNormal, rights) | kPage);
  }
  Write(&image_level3.entries[parts.stack_guard / kPageSize], 0);
  uint64_t* const identity = FindLeaf(image);
  Write(identity, *identity | Attributes(regime, kNormal, Rights::kReadWrite));
  InvalidateTranslations();
}

void KernelMap::MapCpuStack(size_t number, PhysAddr memory) {
  const uint64_t offset = CpuStack(0, number).begin.raw();
  Table* const pages = &running->stacks[(offset - kCpuStacksOffset) / kGrainSize];
  uint64_t* const link = &image_level2.entries[offset / kGrainSize];
  if (*link == 0) {
    memset(pages, 0, sizeof(*pages));
    PublishTables();
    Write(link, Address(pages) | kTable);
  }
  for (uint64_t at = 0; at < kCpuStackBytes; at += kPageSize) {
    Write(&pages->entries[(offset + at) / kPageSize % kEntries],
          (memory + at).raw() | Attributes(regime, kNormal, Rights::kReadWrite) | kPage);
  }
  PublishTables();
}

bool KernelMap::MakeExecutable(PhysAddr address) {
  uint64_t* const entry = FindLeaf(address);
  if (entry == nullptr) return false;
  Write(entry, (*entry & ~(kNever | kPrivilegedNever)) | Attributes(regime, kNormal, Rights::kAll));
  InvalidateTranslations();
  return true;
}

uint64_t KernelMap::TransitionEntry(PhysAddr address) const {
  return AlignDown(address.raw(), kGigabyte) | Attributes(regime, kNormal, Rights::kAll) | kBlock;
}

namespace {

void MapGigabytes(const KernelMap& map, PhysRange range, uint64_t* table) {
  if (range.size == 0) return;
  for (uint64_t at = AlignDown(range.begin.raw(), kGigabyte); at < range.end().raw();
       at += kGigabyte) {
    table[at / kGigabyte] = map.TransitionEntry(PhysAddr::FromRaw(at));
  }
}

}  // namespace

void FillTransitionTable(const KernelMap& map, const khocore::PhysicalMemory& ram,
                         uint64_t* table) {
  for (size_t i = 0; i < ram.window_count(); ++i) MapGigabytes(map, ram.window(i), table);
}

void FillStartTable(const KernelMap& map, PhysRange image, PhysRange data, uint64_t* table) {
  MapGigabytes(map, image, table);
  MapGigabytes(map, data, table);
  table[IMAGE_BASE / kGigabyte] = map.level1.entries[IMAGE_BASE / kGigabyte];
}

uint64_t BuildEarlyMap(KernelMap* map, RunningTables* running, uint64_t image, uint64_t image_bytes,
                       uint64_t device_tree, Regime regime) {
  map->self = map;
  map->running = running;
  map->regime = regime;
  map->pool_used = 0;
  memset(&map->level1, 0, sizeof(Table));
  memset(&map->image_level2, 0, sizeof(Table));
  memset(&map->image_level3, 0, sizeof(Table));
  for (uint64_t at = 0; at < image_bytes; at += kPageSize) {
    map->image_level3.entries[at / kPageSize] =
        (image + at) | Attributes(regime, kNormal, Rights::kAll) | kPage;
  }
  map->image_level2.entries[0] = Address(&map->image_level3) | kTable;
  map->level1.entries[IMAGE_BASE / kGigabyte] = Address(&map->image_level2) | kTable;
  // The pool is larger than what these take, and what cannot be mapped is not touched later.
  (void)map->MapIdentity({PhysAddr::FromRaw(image), image_bytes}, kNormal, Rights::kAll);
  (void)map->MapIdentity({kDefaultConsole, kPageSize}, kDevice, Rights::kReadWrite);
  (void)map->MapIdentity({PhysAddr::FromRaw(device_tree), kGrainSize}, kNormal, Rights::kReadWrite);
  return Address(&map->level1);
}

}  // namespace arch
