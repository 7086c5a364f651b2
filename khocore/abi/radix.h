// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/abi/geometry.h"

/// The radix tree of preserved blocks (Linux 7.2, include/linux/kho/abi). The numbers here are
/// those of 4 KiB pages; `abi/geometry.h` has them for each page size.
///
/// A block of 2^order pages at physical address `pa` has the key
///     (1 << (52 - order)) | (pa >> (12 + order))
/// so the highest set bit of a key gives the order. A node is a page. Levels 5 to 1 are tables of
/// 512 physical addresses, 0 for an empty slot; the slot at level i is
///     (key >> ((i - 1) * 9 + 15)) & 511
/// Level 0 is a bitmap of 32768 bits in 64-bit little-endian words; the bit is `key & 0x7fff`.
/// Nodes are not preserved themselves. They lie outside scratch.

namespace khocore::abi {

inline constexpr unsigned kRadixOrder0Bit = kGeometry.order_0_bit();
inline constexpr unsigned kRadixTableLog2 = kGeometry.table_log2();
inline constexpr unsigned kRadixBitmapLog2 = kGeometry.bitmap_log2();
inline constexpr unsigned kRadixLevels = kGeometry.levels();

inline constexpr uint64_t kRadixTableEntries = uint64_t{1} << kRadixTableLog2;
inline constexpr uint64_t kRadixBitmapBits = uint64_t{1} << kRadixBitmapLog2;
static_assert(kRadixTableEntries * sizeof(uint64_t) == kGeometry.page_size());
static_assert(kRadixBitmapBits / 8 == kGeometry.page_size());
static_assert((kRadixLevels - 1) * kRadixTableLog2 + kRadixBitmapLog2 > kRadixOrder0Bit);

}  // namespace khocore::abi
