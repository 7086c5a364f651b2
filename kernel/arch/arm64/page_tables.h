// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/arm64/image_base.h"
#include "kernel/arch/cpu_stacks.h"
#include "kernel/arch/mmu.h"
#include "khocore/function_ref.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

// Arm ARM (DDI 0487), D8: stage 1 translation of 39-bit addresses at the granule of the kernel's
// pages. RAM and devices lie at their physical address, the image in gigabyte 510, so whatever lies
// below 510 GiB can be mapped. What a level can map in one entry takes one where it is RAM
// throughout; anything else takes a table below from a pool, down to grains. So at most
// `kEarlyTables` and `kRunningTables` entries of the levels above can have devices, the image, the
// device tree or an end of RAM in them.
//
//     granule   root                  below                 grain    largest entry
//     4 KiB     512 of 1 GiB          512 of 2 MiB, pages   2 MiB    1 GiB
//     16 KiB    8 of 64 GiB, tables   2048 of 32 MiB, pages 16 KiB   32 MiB
//     64 KiB    1024 of 512 MiB       pages                 64 KiB   512 MiB

namespace arch {

inline constexpr uint64_t kGigabyte = uint64_t{1} << 30;
inline constexpr unsigned kAddressBits = 39;  ///< as TCR_COMMON has it
inline constexpr size_t kEntries = khocore::kPageSize / sizeof(uint64_t);

// Levels are counted from the root, 0, to the last, that of pages.
inline constexpr unsigned kTableBits = khocore::kPageShift - 3;
inline constexpr unsigned kLevels =
    (kAddressBits - khocore::kPageShift + kTableBits - 1) / kTableBits;
inline constexpr unsigned kLastLevel = kLevels - 1;

/// Bytes that an entry at `level` maps.
constexpr uint64_t EntryBytes(unsigned level) {
  if (level > kLastLevel) __builtin_unreachable();
  return khocore::kPageSize << (kTableBits * (kLastLevel - level));
}
/// The entry of a table at `level` for `address`.
constexpr size_t IndexAt(unsigned level, uint64_t address) {
  return address / EntryBytes(level) % kEntries;
}
/// The first level whose entries may be blocks: at 4 KiB that of gigabytes, else the last but one.
inline constexpr unsigned kBlockLevel = khocore::kPageShift == 12 ? 0 : kLastLevel - 1;
inline constexpr uint64_t kLargestBlock = EntryBytes(kBlockLevel);
/// The level of the smallest entries of the identity map: blocks of 2 MiB, or pages.
inline constexpr unsigned kGrainLevel = khocore::kPageShift == 12 ? 1 : kLastLevel;
inline constexpr uint64_t kGrainSize = EntryBytes(kGrainLevel);

// Bits of a descriptor.
inline constexpr uint64_t kBlock = 1;  // levels above the last
inline constexpr uint64_t kTable = 3;
inline constexpr uint64_t kPage = 3;  // the last level
inline constexpr uint64_t kTypeMask = 3;
inline constexpr uint64_t kDevice = 0 << 2;           // index into MAIR
inline constexpr uint64_t kNormal = 1 << 2 | 3 << 8;  // and inner shareable
inline constexpr uint64_t kMemoryMask = 7 << 2;
inline constexpr uint64_t kEl0 = 1 << 6;  // AP[1]: EL0, too; RES1 at EL2, which has none below
inline constexpr uint64_t kReadOnly = 1 << 7;
inline constexpr uint64_t kAccessed = 1 << 10;
inline constexpr uint64_t kPrivilegedNever = uint64_t{1} << 53;  // EL1: never executed at EL1
inline constexpr uint64_t kNever = uint64_t{1} << 54;            // EL1: never at EL0. EL2: never
inline constexpr uint64_t kAddressMask = khocore::AlignDown(0x0000ffffffffffff, khocore::kPageSize);

/// The type of an entry at `level` that maps what it is for.
constexpr uint64_t LeafType(unsigned level) { return level == kLastLevel ? kPage : kBlock; }
/// Whether a valid entry at `level` leads to a table.
constexpr bool IsTable(unsigned level, uint64_t entry) {
  return level != kLastLevel && (entry & kTypeMask) == kTable;
}

/// The exception level that the tables are for, as CurrentEL counts.
enum class Regime : uint64_t { kEl1 = 1, kEl2 = 2 };
enum class Rights : uint8_t { kRead, kReadWrite, kReadExecute, kAll };

/// The bits of an entry for `memory` (`kNormal`, `kDevice`) besides its address and type.
uint64_t Attributes(Regime regime, uint64_t memory, Rights rights);

/// What the machine does between writes of tables and what walks them; tests record it.
/// Orders all stores before those that follow, for every table walker, and for this CPU's next
/// access.
void PublishTables();
/// After entries in use have changed: publishes them and drops what any CPU has cached of them.
void InvalidateTranslations();

struct alignas(khocore::kPageSize) Table {
  uint64_t entries[kEntries];
};

/// The parts of the image that have rights of their own, as offsets from its begin.
struct ImageParts {
  uint64_t text_end;
  uint64_t rodata_end;
  uint64_t image_end;
  uint64_t stack_guard;  ///< a page
};

/// More tables, for when the MMU is on.
struct RunningTables {
  /// At 4 KiB: RAM in 64 pieces. Tables of larger pages are fewer and map more.
  static constexpr size_t kRunningTables = size_t{128} >> (khocore::kPageShift - 12) / 2;
  static constexpr size_t kStackTables = khocore::AlignUp(kCpuStacksBytes, kTableSpan) / kTableSpan;

  Table pool[kRunningTables];
  Table stacks[kStackTables];
};
static_assert(EntryBytes(kLastLevel - 1) == kTableSpan);

/// Everything the kernel's map is made of. Lies at its physical address for itself, so that it may
/// be used with the MMU off and on. Fresh tables are zeroed as they are taken.
struct KernelMap {
  static constexpr uint64_t kAddressLimit = khocore::AlignDown(IMAGE_BASE, kGigabyte);
  static constexpr size_t kEarlyTables = khocore::kPageShift == 12 ? 18 : 8;

  /// Adds `range` to the identity map; what is mapped already stays as it is. Errors:
  /// `kOutOfMemory`, `kOutsideRam`, `kOverlap` when RAM and device registers share a grain.
  khocore::Status MapIdentity(khocore::PhysRange range, uint64_t memory, Rights rights);

  /// The first of all: maps `bytes` of the image at `image` at `IMAGE_BASE`, with every right.
  void MapImage(khocore::PhysAddr image, uint64_t bytes);

  /// Gives each part of the image at `image` its own rights, and none to execute it there.
  void ProtectImage(khocore::PhysAddr image, const ImageParts& parts);

  /// Maps `kCpuStackBytes` from `memory` on as the stack of the CPU `number`.
  void MapCpuStack(size_t number, khocore::PhysAddr memory);

  /// Lets the identity-mapped RAM around `address` be executed. It stays writable. False when
  /// nothing is mapped there.
  [[nodiscard]] bool MakeExecutable(khocore::PhysAddr address);

  /// The entry that maps `address` to itself, or null.
  uint64_t* FindLeaf(khocore::PhysAddr address);

  /// An entry of the level `kBlockLevel` that maps the block at `address` to itself as RAM that may
  /// be written and executed.
  uint64_t TransitionEntry(khocore::PhysAddr address) const;

  Table root;
  Table pool[kEarlyTables];
  uint64_t pool_used;
  Regime regime;
  RunningTables* running;
  Table* image_pages;  ///< one of the pool: the table of the image's pages
  KernelMap* self;     ///< this structure at its physical address

 private:
  Table* TakeTable();
  uint64_t* FindLink(uint64_t address);
  template <unsigned kLevel>
  khocore::Status MapIn(uint64_t* entries, uint64_t* at, uint64_t end, uint64_t attributes);
  khocore::Status MapEntries(khocore::PhysRange range, uint64_t attributes);
};

/// Where the two below get a table that they need besides the root: a zeroed page at its physical
/// address, or null. Asked only at 16 KiB, whose root has no blocks.
using TableSource = khocore::FunctionRef<uint64_t*()>;

/// Fills the root that the copy of the next kernel runs on: every block with RAM to itself. Errors:
/// `kOutOfMemory`.
khocore::Status FillTransitionTable(const KernelMap& map, const khocore::PhysicalMemory& ram,
                                    uint64_t* root, TableSource take);

/// The entry of the tables below `root` that maps the block at `address`, or null.
uint64_t* FindTransitionEntry(uint64_t* root, khocore::PhysAddr address);

/// Tables that `FillStartTable` fills at most, the root included.
inline constexpr size_t kStartTables = kBlockLevel == 0 ? 1 : 4;

/// Fills the root on which a started CPU turns its MMU on: the blocks of the image, where it lies,
/// and of `data` to themselves, and the image at its own address. Errors: `kOutOfMemory`,
/// `kOverlap` when one of them lies where the root has the image.
khocore::Status FillStartTable(const KernelMap& map, khocore::PhysRange image,
                               khocore::PhysRange data, uint64_t* root, TableSource take);

/// Called by entry.S with the MMU off: fills `map` with the tables on which it is switched on. Maps
/// the image at `IMAGE_BASE`, and to itself the image, 2 MiB and more of the device tree, and the
/// console. Returns the physical address of the root.
extern "C" uint64_t BuildEarlyMap(KernelMap* map, RunningTables* running, uint64_t image,
                                  uint64_t image_bytes, uint64_t device_tree, Regime regime);

}  // namespace arch
