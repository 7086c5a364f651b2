// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/mmu.h"

#include <string.h>

#include "kernel/arch/arm64/console.h"
#include "kernel/arch/arm64/registers.h"
#include "kernel/arch/mmu.h"
#include "kernel/base/panic.h"

// Arm ARM (DDI 0487), D8: stage 1 translation, 4 KiB granule, 39-bit addresses: one level 1 table
// of 512 gigabytes. RAM and devices lie at their physical address, the image in gigabyte 510. A
// gigabyte that is RAM throughout takes one entry; any other takes a level 2 table of 2 MiB grains
// from a pool. So whatever lies below 510 GiB can be mapped, as long as at most `kEarlyTables` and
// `kRunningTables` gigabytes have devices, the image, the device tree or an end of RAM in them.

extern "C" {
extern char __image_begin[], __text_end[], __rodata_end[], __image_end[], __stack_guard[];
}

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

extern const uint64_t kImageBase = 0x7f80000000;

namespace {

constexpr uint64_t kAddressLimit = 0x7f80000000;
constexpr uint64_t kEarlyTables = 16;
constexpr uint64_t kRunningTables = 128;  // RAM in 64 pieces
constexpr uint64_t kEntries = 512;

// Bits of a descriptor.
constexpr uint64_t kBlock = 1;  // levels 1 and 2
constexpr uint64_t kTable = 3;
constexpr uint64_t kPage = 3;  // level 3
constexpr uint64_t kTypeMask = 3;
constexpr uint64_t kDevice = 0 << 2;           // index into MAIR
constexpr uint64_t kNormal = 1 << 2 | 3 << 8;  // and inner shareable
constexpr uint64_t kMemoryMask = 7 << 2;
constexpr uint64_t kEl0 = 1 << 6;  // AP[1]: EL0, too; RES1 at EL2, which has none below
constexpr uint64_t kReadOnly = 1 << 7;
constexpr uint64_t kAccessed = 1 << 10;
constexpr uint64_t kPrivilegedNever = uint64_t{1} << 53;  // EL1: never executed at EL1
constexpr uint64_t kNever = uint64_t{1} << 54;            // EL1: never at EL0. EL2: never
constexpr uint64_t kAddressMask = 0x0000fffffffff000;

enum class Rights : uint8_t { kRead, kReadWrite, kReadExecute, kAll };

uint64_t Attributes(uint64_t memory, Rights rights) {
  const bool executable = rights == Rights::kReadExecute || rights == Rights::kAll;
  const bool writable = rights == Rights::kReadWrite || rights == Rights::kAll;
  uint64_t bits = memory | kAccessed | (writable ? 0 : kReadOnly);
  if (AtEl2()) return bits | kEl0 | (executable ? 0 : kNever);
  return bits | kNever | (executable ? 0 : kPrivilegedNever);
}

struct alignas(kPageSize) Table {
  uint64_t entries[kEntries];
};

/// Everything the map is made of. In the section that entry.S keeps coherent while it turns the MMU
/// on, and not zeroed with the rest.
struct Map {
  Table level1;
  Table image_level2;
  Table image_level3;
  Table pool[kEarlyTables];
  uint64_t pool_used;
  Map* self;  ///< this structure at its physical address, good with the MMU off and on
};
__attribute__((section(".early"))) Map early_map;
/// More of the pool, for when the MMU is on; zeroed as it is taken, too.
__attribute__((section(".tables"))) Table running_tables[kRunningTables];

uint64_t Address(const Table* table) { return reinterpret_cast<uint64_t>(table); }
Table* Below(uint64_t entry) { return reinterpret_cast<Table*>(entry & kAddressMask); }

/// Makes new entries visible to the table walker.
void PublishEntries() {
  asm volatile("dsb ishst" ::: "memory");
  InstructionBarrier();
}

/// After entries that were in use have changed.
void ForgetTranslations() {
  asm volatile("dsb ishst" ::: "memory");
  if (AtEl2()) {
    asm volatile("tlbi alle2" ::: "memory");
  } else {
    asm volatile("tlbi vmalle1" ::: "memory");
  }
  asm volatile("dsb ish" ::: "memory");
  InstructionBarrier();
}

bool SameMemory(uint64_t entry, uint64_t attributes) {
  return ((entry ^ attributes) & kMemoryMask) == 0;
}

/// A zeroed table at its physical address, or null.
Table* TakeTable(Map* map) {
  const uint64_t number = map->pool_used;
  if (number == kEarlyTables + kRunningTables) return nullptr;
  ++map->pool_used;
  Table* table;
  if (number < kEarlyTables) {
    table = &map->pool[number];
  } else {
    const auto image_offset = reinterpret_cast<uint64_t>(&running_tables[number - kEarlyTables]) -
                              reinterpret_cast<uint64_t>(&early_map);
    table = reinterpret_cast<Table*>(reinterpret_cast<uint64_t>(map) + image_offset);
  }
  memset(table, 0, sizeof(*table));
  // The walker must not find the link before the zeros.
  asm volatile("dsb ishst" ::: "memory");
  return table;
}

/// Maps the grain at `address`, whose gigabyte has `*level1`. Errors: as `MapIdentity`.
Status MapGrain(Map* map, uint64_t* level1, uint64_t address, uint64_t attributes) {
  if (*level1 == 0) {
    const Table* const fresh = TakeTable(map);
    if (fresh == nullptr) return Error{ErrorCode::kOutOfMemory, PhysAddr::FromRaw(address)};
    *static_cast<volatile uint64_t*>(level1) = Address(fresh) | kTable;
  }
  uint64_t* const entry = &Below(*level1)->entries[address / kGrainSize % kEntries];
  if (*entry == 0) {
    *entry = address | attributes | kBlock;
  } else if (!SameMemory(*entry, attributes)) {
    return Error{ErrorCode::kOverlap, PhysAddr::FromRaw(address), *entry, attributes};
  }
  return Ok{};
}

/// Adds `range` to the identity map; what is mapped already stays as it is. Errors: `kOutOfMemory`,
/// `kOutsideRam`, `kOverlap` when RAM and device registers share a grain.
Status MapIdentity(Map* map, PhysRange range, uint64_t attributes) {
  if (range.size == 0) return Ok{};
  const bool beyond = range.Wraps() || range.end().raw() > kAddressLimit;
  const uint64_t end = beyond ? kAddressLimit : AlignUp(range.end().raw(), kGrainSize);
  uint64_t at = AlignDown(range.begin.raw(), kGrainSize);
  while (at < end) {
    uint64_t* const level1 = &map->level1.entries[at / kGigabyte];
    if (*level1 == 0 && at % kGigabyte == 0 && end - at >= kGigabyte) {
      *level1 = at | attributes | kBlock;
    }
    if ((*level1 & kTypeMask) == kBlock) {
      if (!SameMemory(*level1, attributes)) {
        return Error{ErrorCode::kOverlap, PhysAddr::FromRaw(at), *level1, attributes};
      }
      at = AlignDown(at, kGigabyte) + kGigabyte;
    } else {
      KHOCORE_RETURN_IF_ERROR(MapGrain(map, level1, at, attributes));
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

/// The entry that maps `address` to itself, or null.
uint64_t* FindLeaf(Map* map, PhysAddr address) {
  if (!(address.raw() < kAddressLimit)) return nullptr;
  uint64_t* const level1 = &map->level1.entries[address.raw() / kGigabyte];
  if ((*level1 & kTypeMask) == kBlock) return level1;
  if ((*level1 & kTypeMask) != kTable) return nullptr;
  uint64_t* const level2 = &Below(*level1)->entries[address.raw() / kGrainSize % kEntries];
  return *level2 != 0 ? level2 : nullptr;
}

uint64_t ImageIndex(const char* at) {
  return (reinterpret_cast<uint64_t>(at) - kImageBase) / kPageSize;
}

void MapImage(Map* map, uint64_t image, uint64_t pages) {
  memset(&map->image_level2, 0, sizeof(Table));
  memset(&map->image_level3, 0, sizeof(Table));
  for (uint64_t i = 0; i < pages; ++i) {
    map->image_level3.entries[i] =
        (image + i * kPageSize) | Attributes(kNormal, Rights::kAll) | kPage;
  }
  map->image_level2.entries[0] = Address(&map->image_level3) | kTable;
  map->level1.entries[kImageBase / kGigabyte] = Address(&map->image_level2) | kTable;
}

}  // namespace

/// Called by entry.S with the MMU off: the tables with which it is switched on. Maps the image at
/// `kImageBase`, and to itself the image, 2 MiB and more of the device tree, and the console.
/// Returns the physical address of the level 1 table. Runs wherever the image lies, so it may use
/// nothing but addresses relative to itself.
extern "C" uint64_t BuildEarlyMap(uint64_t image, uint64_t device_tree) {
  Map* const map = &early_map;
  map->self = map;
  map->pool_used = 0;
  memset(&map->level1, 0, sizeof(Table));
  const auto image_bytes = static_cast<uint64_t>(__image_end - __image_begin);
  MapImage(map, image, image_bytes / kPageSize);
  // The pool is larger than what these take, and what cannot be mapped is not touched later.
  (void)MapIdentity(map, {PhysAddr::FromRaw(image), image_bytes},
                    Attributes(kNormal, Rights::kAll));
  (void)MapIdentity(map, {kDefaultConsole, kPageSize}, Attributes(kDevice, Rights::kReadWrite));
  (void)MapIdentity(map, {PhysAddr::FromRaw(device_tree), kGrainSize},
                    Attributes(kNormal, Rights::kReadWrite));
  return Address(&map->level1);
}

void ProtectImage() {
  Map* const map = early_map.self;
  const uint64_t text_end = ImageIndex(__text_end);
  const uint64_t rodata_end = ImageIndex(__rodata_end);
  const uint64_t end = ImageIndex(__image_end);
  for (uint64_t i = 0; i < end; ++i) {
    uint64_t* const entry = &map->image_level3.entries[i];
    const Rights rights = i < text_end     ? Rights::kReadExecute
                          : i < rodata_end ? Rights::kRead
                                           : Rights::kReadWrite;
    *entry = (*entry & kAddressMask) | Attributes(kNormal, rights) | kPage;
  }
  map->image_level3.entries[ImageIndex(__stack_guard)] = 0;
  uint64_t* const identity = FindLeaf(map, PhysAddr::FromRaw(Address(&map->level1)));
  KHORIG_CHECK(identity != nullptr);
  *identity |= Attributes(kNormal, Rights::kReadWrite);
  ForgetTranslations();
}

Status MapRam(PhysRange range) {
  const Status status = MapIdentity(early_map.self, range, Attributes(kNormal, Rights::kReadWrite));
  PublishEntries();
  return status;
}

Status MapDevice(PhysRange range) {
  const Status status = MapIdentity(early_map.self, range, Attributes(kDevice, Rights::kReadWrite));
  PublishEntries();
  return status;
}

uint64_t TransitionEntry(PhysAddr address) {
  return AlignDown(address.raw(), kGigabyte) | Attributes(kNormal, Rights::kAll) | kBlock;
}

uint64_t FillStartTable(PhysRange image, PhysRange data, uint64_t* table) {
  const Map* const map = early_map.self;
  const PhysRange mapped[] = {image, data};
  for (const PhysRange& range : mapped) {
    for (uint64_t at = AlignDown(range.begin.raw(), kGigabyte); at < range.end().raw();
         at += kGigabyte) {
      table[at / kGigabyte] = TransitionEntry(PhysAddr::FromRaw(at));
    }
  }
  table[kImageBase / kGigabyte] = map->level1.entries[kImageBase / kGigabyte];
  return Address(&map->level1);
}

void MakeExecutable(PhysAddr address) {
  uint64_t* const entry = FindLeaf(early_map.self, address);
  KHORIG_CHECK(entry != nullptr);
  *entry &= ~(kNever | kPrivilegedNever);
  *entry |= Attributes(kNormal, Rights::kAll);
  ForgetTranslations();
}

void CleanToMemory(PhysRange range) {
  const uint64_t line = uint64_t{4} << (KHORIG_READ_REGISTER(ctr_el0) >> 16 & 0xf);
  for (uint64_t at = AlignDown(range.begin.raw(), line); at < range.end().raw(); at += line) {
    asm volatile("dc civac, %0" ::"r"(at) : "memory");
  }
  asm volatile("dsb sy" ::: "memory");
}

}  // namespace arch
