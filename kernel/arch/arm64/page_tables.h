// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/arm64/image_base.h"
#include "kernel/arch/cpu_stacks.h"
#include "kernel/arch/mmu.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

// Arm ARM (DDI 0487), D8: stage 1 translation, 4 KiB granule, 39-bit addresses: one level 1 table
// of 512 gigabytes. RAM and devices lie at their physical address, the image in gigabyte 510. A
// gigabyte that is RAM throughout takes one entry; any other takes a level 2 table of 2 MiB grains
// from a pool. So whatever lies below 510 GiB can be mapped, as long as at most `kEarlyTables` and
// `kRunningTables` gigabytes have devices, the image, the device tree or an end of RAM in them.

namespace arch {

inline constexpr uint64_t kGrainSize = uint64_t{2} << 20;
inline constexpr uint64_t kGigabyte = uint64_t{1} << 30;
inline constexpr size_t kEntries = 512;
/// Of the tables that the copy runs on, levels 1 to 3.
inline constexpr unsigned kTransitionLevels = 3;

// Bits of a descriptor.
inline constexpr uint64_t kBlock = 1;  // levels 1 and 2
inline constexpr uint64_t kTable = 3;
inline constexpr uint64_t kPage = 3;  // level 3
inline constexpr uint64_t kTypeMask = 3;
inline constexpr uint64_t kDevice = 0 << 2;           // index into MAIR
inline constexpr uint64_t kNormal = 1 << 2 | 3 << 8;  // and inner shareable
inline constexpr uint64_t kMemoryMask = 7 << 2;
inline constexpr uint64_t kEl0 = 1 << 6;  // AP[1]: EL0, too; RES1 at EL2, which has none below
inline constexpr uint64_t kReadOnly = 1 << 7;
inline constexpr uint64_t kAccessed = 1 << 10;
inline constexpr uint64_t kPrivilegedNever = uint64_t{1} << 53;  // EL1: never executed at EL1
inline constexpr uint64_t kNever = uint64_t{1} << 54;            // EL1: never at EL0. EL2: never
inline constexpr uint64_t kAddressMask = 0x0000fffffffff000;

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
  static constexpr size_t kRunningTables = 128;  ///< RAM in 64 pieces
  static constexpr size_t kStackTables = kCpuStacksBytes / kGrainSize;
  static_assert(kCpuStacksBytes % kGrainSize == 0);

  Table pool[kRunningTables];
  Table stacks[kStackTables];
};

/// Everything the kernel's map is made of. Lies at its physical address for itself, so that it may
/// be used with the MMU off and on. Fresh tables are zeroed as they are taken.
struct KernelMap {
  static constexpr uint64_t kAddressLimit = khocore::AlignDown(IMAGE_BASE, kGigabyte);
  static constexpr size_t kEarlyTables = 16;

  /// Adds `range` to the identity map; what is mapped already stays as it is. Errors:
  /// `kOutOfMemory`, `kOutsideRam`, `kOverlap` when RAM and device registers share a grain.
  khocore::Status MapIdentity(khocore::PhysRange range, uint64_t memory, Rights rights);

  /// Gives each part of the image at `image` its own rights, and none to execute it there.
  void ProtectImage(khocore::PhysAddr image, const ImageParts& parts);

  /// Maps `kCpuStackBytes` from `memory` on as the stack of the CPU `number`.
  void MapCpuStack(size_t number, khocore::PhysAddr memory);

  /// Lets the identity-mapped RAM around `address` be executed. It stays writable. False when
  /// nothing is mapped there.
  [[nodiscard]] bool MakeExecutable(khocore::PhysAddr address);

  /// The entry that maps `address` to itself, or null.
  uint64_t* FindLeaf(khocore::PhysAddr address);

  /// A level 1 entry that maps the gigabyte at `address` to itself as RAM that may be written and
  /// executed.
  uint64_t TransitionEntry(khocore::PhysAddr address) const;

  Table level1;
  Table image_level2;
  Table image_level3;
  Table pool[kEarlyTables];
  uint64_t pool_used;
  Regime regime;
  RunningTables* running;
  KernelMap* self;  ///< this structure at its physical address

 private:
  Table* TakeTable();
  khocore::Status MapGrain(uint64_t* level1, uint64_t address, uint64_t attributes);
  khocore::Status MapEntries(khocore::PhysRange range, uint64_t attributes);
};

/// Fills the level 1 table that the copy of the next kernel runs on: every gigabyte with RAM to
/// itself.
void FillTransitionTable(const KernelMap& map, const khocore::PhysicalMemory& ram, uint64_t* table);

/// Fills the level 1 table on which a started CPU turns its MMU on: the gigabytes of the image,
/// where it lies, and of `data` to themselves, and the image at its own address.
void FillStartTable(const KernelMap& map, khocore::PhysRange image, khocore::PhysRange data,
                    uint64_t* table);

/// Called by entry.S with the MMU off: fills `map` with the tables on which it is switched on. Maps
/// the image at `IMAGE_BASE`, and to itself the image, 2 MiB and more of the device tree, and the
/// console. Returns the physical address of the level 1 table.
extern "C" uint64_t BuildEarlyMap(KernelMap* map, RunningTables* running, uint64_t image,
                                  uint64_t image_bytes, uint64_t device_tree, Regime regime);

}  // namespace arch
