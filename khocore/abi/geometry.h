// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/abi/page_shift.h"

/// What follows from the page size, which is part of the ABI although no byte of a handover tells
/// it: the shape of the radix tree, the length of a list of blocks in a chunk, the alignment of
/// scratch. (Linux 7.2, include/linux/kho/abi/kexec_handover.h.)

namespace khocore::abi {

struct Geometry {
  unsigned page_shift;

  constexpr uint64_t page_size() const { return uint64_t{1} << page_shift; }
  /// The bit of a radix key that stands for order 0: as many as an address has bits above a page.
  constexpr unsigned order_0_bit() const { return 64 - page_shift; }
  /// Log2 of the slots of a radix table, a page of u64.
  constexpr unsigned table_log2() const { return page_shift - 3; }
  /// Log2 of the bits of a radix leaf, a page of bits.
  constexpr unsigned bitmap_log2() const { return page_shift + 3; }
  /// Levels of the radix tree, the leaf included: enough for bits 0 to `order_0_bit`.
  constexpr unsigned levels() const {
    const unsigned above_leaf = order_0_bit() + 1 - bitmap_log2();
    return (above_leaf + table_log2() - 1) / table_log2() + 1;
  }
  /// Block addresses in a chunk, behind the link to the next one.
  constexpr uint32_t chunk_entries() const {
    return static_cast<uint32_t>(page_size() / sizeof(uint64_t) - 1);
  }
  /// MAX_PAGE_ORDER of Linux: 10, or what makes a block of a table's slots where that is more
  /// (ARCH_FORCE_MAX_ORDER of arch/arm64/Kconfig).
  constexpr unsigned max_page_order() const { return table_log2() < 10 ? 10 : table_log2(); }
  /// Base and size of scratch areas are multiples of PAGE_SIZE * MAX_ORDER_NR_PAGES.
  constexpr uint64_t scratch_alignment() const { return page_size() << max_page_order(); }

  /// Whether the radix tree has this shape.
  constexpr bool HasTree(unsigned bit, unsigned table, unsigned bitmap, unsigned depth) const {
    return order_0_bit() == bit && table_log2() == table && bitmap_log2() == bitmap &&
           levels() == depth;
  }
};

inline constexpr Geometry kGeometry{KHOCORE_PAGE_SHIFT};

// The values that Linux's own formulas give.
static_assert(Geometry{12}.HasTree(52, 9, 15, 6));
static_assert(Geometry{14}.HasTree(50, 11, 17, 5));
static_assert(Geometry{16}.HasTree(48, 13, 19, 4));
static_assert(Geometry{12}.chunk_entries() == 511);
static_assert(Geometry{14}.chunk_entries() == 2047);
static_assert(Geometry{16}.chunk_entries() == 8191);
static_assert(Geometry{12}.scratch_alignment() == uint64_t{4} << 20);
static_assert(Geometry{14}.scratch_alignment() == uint64_t{32} << 20);
static_assert(Geometry{16}.scratch_alignment() == uint64_t{512} << 20);

}  // namespace khocore::abi
