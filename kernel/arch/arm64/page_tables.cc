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

/// The most that a device tree has (booting.rst).
constexpr uint64_t kDeviceTreeBytes = uint64_t{2} << 20;

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

/// The entry that links the table of the pages around `address`; null when there is no table left
/// for what lies above it.
uint64_t* KernelMap::FindLink(uint64_t address) {
  uint64_t* entries = root.entries;
  for (unsigned level = 0; level < kLastLevel - 1; ++level) {
    uint64_t* const entry = &entries[IndexAt(level, address)];
    if (*entry == 0) {
      const Table* const fresh = TakeTable();
      if (fresh == nullptr) return nullptr;
      Write(entry, Address(fresh) | kTable);
    }
    entries = Below(*entry)->entries;
  }
  return &entries[IndexAt(kLastLevel - 1, address)];
}

/// Maps what of [`*at`, `end`) lies in the table `entries`, and moves `*at` behind it.
template <unsigned kLevel>
Status KernelMap::MapIn(uint64_t* entries, uint64_t* at, uint64_t end, uint64_t attributes) {
  constexpr uint64_t kBytes = EntryBytes(kLevel);
  do {
    uint64_t* const entry = &entries[IndexAt(kLevel, *at)];
    if (*entry == 0 && kLevel >= kBlockLevel && *at % kBytes == 0 && end - *at >= kBytes) {
      Write(entry, *at | attributes | LeafType(kLevel));
    } else if constexpr (kLevel < kGrainLevel) {
      if (*entry == 0) {
        const Table* const fresh = TakeTable();
        if (fresh == nullptr) return Error{ErrorCode::kOutOfMemory, PhysAddr::FromRaw(*at)};
        Write(entry, Address(fresh) | kTable);
      }
      if (IsTable(kLevel, *entry)) {
        KHOCORE_RETURN_IF_ERROR(MapIn<kLevel + 1>(Below(*entry)->entries, at, end, attributes));
        continue;
      }
    }
    if (!SameMemory(*entry, attributes)) {
      return Error{ErrorCode::kOverlap, PhysAddr::FromRaw(*at), *entry, attributes};
    }
    *at = AlignDown(*at, kBytes) + kBytes;
  } while (*at < end && IndexAt(kLevel, *at) != 0);
  return Ok{};
}

Status KernelMap::MapEntries(PhysRange range, uint64_t attributes) {
  if (range.size == 0) return Ok{};
  const bool beyond = range.Wraps() || range.end().raw() > kAddressLimit;
  const uint64_t end = beyond ? kAddressLimit : AlignUp(range.end().raw(), kGrainSize);
  uint64_t at = AlignDown(range.begin.raw(), kGrainSize);
  if (at < end) KHOCORE_RETURN_IF_ERROR(MapIn<0>(root.entries, &at, end, attributes));
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
  uint64_t* entries = root.entries;
  for (unsigned level = 0;; ++level) {
    uint64_t* const entry = &entries[IndexAt(level, address.raw())];
    if (!IsTable(level, *entry)) return *entry != 0 ? entry : nullptr;
    entries = Below(*entry)->entries;
  }
}

void KernelMap::MapImage(PhysAddr image, uint64_t bytes) {
  uint64_t* const link = FindLink(IMAGE_BASE);
  image_pages = TakeTable();
  Write(link, Address(image_pages) | kTable);
  for (uint64_t at = 0; at < bytes; at += kPageSize) {
    Write(&image_pages->entries[at / kPageSize],
          (image + at).raw() | Attributes(regime, kNormal, Rights::kAll) | kPage);
  }
}

void KernelMap::ProtectImage(PhysAddr image, const ImageParts& parts) {
  for (uint64_t at = 0; at < parts.image_end; at += kPageSize) {
    const Rights rights = at < parts.text_end     ? Rights::kReadExecute
                          : at < parts.rodata_end ? Rights::kRead
                                                  : Rights::kReadWrite;
    Write(&image_pages->entries[at / kPageSize],
          (image + at).raw() | Attributes(regime, kNormal, rights) | kPage);
  }
  Write(&image_pages->entries[parts.stack_guard / kPageSize], 0);
  for (uint64_t at = 0; at < parts.image_end; at += kGrainSize) {
    uint64_t* const identity = FindLeaf(image + at);
    Write(identity, *identity | Attributes(regime, kNormal, Rights::kReadWrite));
  }
  InvalidateTranslations();
}

void KernelMap::MapCpuStack(size_t number, PhysAddr memory) {
  const uint64_t offset = CpuStack(0, number).begin.raw();
  Table* const pages = &running->stacks[(offset - kCpuStacksOffset) / kTableSpan];
  uint64_t* const link = FindLink(IMAGE_BASE + offset);  // the image has what lies above it
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
  return AlignDown(address.raw(), kLargestBlock) | Attributes(regime, kNormal, Rights::kAll) |
         LeafType(kBlockLevel);
}

namespace {

Status MapBlocks(const KernelMap& map, PhysRange range, uint64_t* root, TableSource take) {
  if (range.size == 0) return Ok{};
  for (uint64_t at = AlignDown(range.begin.raw(), kLargestBlock); at < range.end().raw();
       at += kLargestBlock) {
    uint64_t* entries = root;
    if constexpr (kBlockLevel != 0) {
      static_assert(kBlockLevel <= 1);
      uint64_t* const link = &root[IndexAt(0, at)];
      if (*link == 0) {
        const uint64_t* const fresh = take();
        if (fresh == nullptr) return Error{ErrorCode::kOutOfMemory, PhysAddr::FromRaw(at)};
        *link = reinterpret_cast<uint64_t>(fresh) | kTable;
      }
      entries = Below(*link)->entries;
    }
    entries[IndexAt(kBlockLevel, at)] = map.TransitionEntry(PhysAddr::FromRaw(at));
  }
  return Ok{};
}

}  // namespace

Status FillTransitionTable(const KernelMap& map, const khocore::PhysicalMemory& ram, uint64_t* root,
                           TableSource take) {
  for (size_t i = 0; i < ram.window_count(); ++i) {
    KHOCORE_RETURN_IF_ERROR(MapBlocks(map, ram.window(i), root, take));
  }
  return Ok{};
}

uint64_t* FindTransitionEntry(uint64_t* root, PhysAddr address) {
  uint64_t* entries = root;
  for (unsigned level = 0; level < kBlockLevel; ++level) {
    const uint64_t link = entries[IndexAt(level, address.raw())];
    if (link == 0) return nullptr;
    entries = Below(link)->entries;
  }
  return &entries[IndexAt(kBlockLevel, address.raw())];
}

Status FillStartTable(const KernelMap& map, PhysRange image, PhysRange data, uint64_t* root,
                      TableSource take) {
  KHOCORE_RETURN_IF_ERROR(MapBlocks(map, image, root, take));
  KHOCORE_RETURN_IF_ERROR(MapBlocks(map, data, root, take));
  constexpr uint64_t kLast = IMAGE_BASE + kCpuStacksOffset + kCpuStacksBytes - 1;
  for (size_t i = IndexAt(0, IMAGE_BASE); i <= IndexAt(0, kLast); ++i) {
    if (root[i] != 0) return Error{ErrorCode::kOverlap, image.begin, root[i]};
    root[i] = map.root.entries[i];
  }
  return Ok{};
}

uint64_t BuildEarlyMap(KernelMap* map, RunningTables* running, uint64_t image, uint64_t image_bytes,
                       uint64_t device_tree, Regime regime) {
  map->self = map;
  map->running = running;
  map->regime = regime;
  map->pool_used = 0;
  memset(&map->root, 0, sizeof(Table));
  map->MapImage(PhysAddr::FromRaw(image), image_bytes);
  // The pool is larger than what these take, and what cannot be mapped is not touched later.
  (void)map->MapIdentity({PhysAddr::FromRaw(image), image_bytes}, kNormal, Rights::kAll);
  (void)map->MapIdentity({kDefaultConsole, kPageSize}, kDevice, Rights::kReadWrite);
  (void)map->MapIdentity({PhysAddr::FromRaw(device_tree), kDeviceTreeBytes}, kNormal,
                         Rights::kReadWrite);
  return Address(&map->root);
}

}  // namespace arch
