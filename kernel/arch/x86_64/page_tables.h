// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/cpu_stacks.h"
#include "khocore/function_ref.h"
#include "khocore/types.h"

namespace arch {

// Bits of an entry (Intel SDM volume 3, 5.5; AMD APM volume 2, 5.3).
inline constexpr uint64_t kPresent = 1;
inline constexpr uint64_t kWritable = 1 << 1;
inline constexpr uint64_t kWriteThrough = 1 << 3;
inline constexpr uint64_t kCacheDisable = 1 << 4;
inline constexpr uint64_t kLargePage = 1 << 7;
inline constexpr uint64_t kNoExecute = uint64_t{1} << 63;
inline constexpr uint64_t kTableAddress = 0x000ffffffffff000;

inline constexpr size_t kTableEntries = 512;
inline constexpr uint64_t kLargePageSize = uint64_t{2} << 20;
inline constexpr uint64_t kHugePageSize = uint64_t{1} << 30;
/// What the first tables map one to one; firmware and devices of a PC lie below.
inline constexpr uint64_t kEarlyMapEnd = uint64_t{4} << 30;

/// Level of an entry that maps a page of 4 KiB, 2 MiB or, where the CPU has them, 1 GiB.
enum class Leaf : unsigned { kPage = 1, kLargePage = 2, kHugePage = 3 };

/// A table walker may read the entry at any time, so it is written once and whole.
inline void WriteEntry(uint64_t* entry, uint64_t value) {
  __atomic_store_n(entry, value, __ATOMIC_RELAXED);
}

/// A tree of page tables with four or five levels. It reads and writes the tables through a window:
/// the table at physical address `p` is visible at `p + window`. Code and data of this class are
/// position-independent, because the first tree is built before the kernel runs at its own address.
class PageTables {
 public:
  /// Returns the physical address of a zeroed page, or 0 when there is none left.
  using NewTable = khocore::FunctionRef<uint64_t()>;

  /// `root` is the physical address of the topmost table, zeroed or in use.
  PageTables(uint64_t root, unsigned levels, uint64_t window)
      : root_(root), levels_(levels), window_(window) {}

  uint64_t root() const { return root_; }

  /// Maps `bytes` from `virtual_address` on to `physical`, replacing what was there, and makes the
  /// tables on the way. All three are multiples of the leaf's size. `flags` are the entries' bits
  /// besides the address and `kLargePage`. False when `new_table` has no page.
  bool Map(uint64_t virtual_address, uint64_t physical, uint64_t bytes, Leaf leaf, uint64_t flags,
           NewTable new_table);

  /// The entries from the one that maps `virtual_address` at the leaf's level to the last of its
  /// table, and the tables on the way to it. Empty when `new_table` has no page, and when a larger
  /// page is in the way.
  khocore::Span<uint64_t> Make(uint64_t virtual_address, Leaf leaf, NewTable new_table);

  /// As `Make`, but empty when there is no such table.
  khocore::Span<uint64_t> Find(uint64_t virtual_address, Leaf leaf);

  /// The entry that maps `virtual_address`, of whatever size, or null.
  uint64_t* FindLeaf(uint64_t virtual_address);

 private:
  static size_t Index(uint64_t virtual_address, unsigned level) {
    return virtual_address >> (12 + 9 * (level - 1)) & (kTableEntries - 1);
  }
  uint64_t* Table(uint64_t physical) { return reinterpret_cast<uint64_t*>(physical + window_); }

  uint64_t root_;
  unsigned levels_;
  uint64_t window_;
};

/// Where the tables of the running kernel come from: memory of its image. It is zeroed as it is
/// taken and not with the rest of the image, most of it being left alone.
struct TablePool {
  static constexpr size_t kEarlyPages = 16;  ///< at most 15 go into the early map
  /// RAM in 64 pieces whose ends all lie in GiBs of their own, and a table for each 512 GiB up to
  /// 4 TiB; with pages of 2 MiB alone, 136 GiB.
  static constexpr size_t kRunningPages = 136;
  static constexpr size_t kLevelPages = 3;  ///< for another number of levels (table_levels.h)
  static constexpr size_t kPages = kEarlyPages + kRunningPages + kLevelPages;

  /// A zeroed table, or null when none is left.
  uint64_t* Take();
  /// The same of those that are kept for the stacks of CPUs.
  uint64_t* TakeForStacks();

  static constexpr size_t kStackPages = kCpuStacksBytes / kLargePageSize;
  static_assert(kCpuStacksBytes % kLargePageSize == 0);

  alignas(4096) uint64_t pages[kPages][kTableEntries];
  uint64_t stack_pages[kStackPages][kTableEntries];
  size_t used;  ///< `BuildEarlyMap` sets them first
  size_t stack_pages_used;
};

/// Builds the first tables in `pool`: the image at its virtual address, and one to one the first
/// 4 GiB and the image where it was loaded, all of it read, write and execute. Called before the
/// kernel runs at its own address. Returns the physical address of the topmost table.
extern "C" uint64_t BuildEarlyMap(TablePool* pool, uint64_t load_address, uint64_t image_base,
                                  unsigned levels);

}  // namespace arch
