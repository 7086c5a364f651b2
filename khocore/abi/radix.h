// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

/// The radix tree of preserved blocks at 4 KiB pages (Linux 7.2, include/linux/kho/abi).
///
/// A block of 2^order pages at physical address `pa` has the key
///     (1 << (52 - order)) | (pa >> (12 + order))
/// so the highest set bit of a key tells the order. A node is a page. Levels 5 to 1 are tables of
/// 512 physical addresses, 0 for an empty slot; the slot at level i is
///     (key >> ((i - 1) * 9 + 15)) & 511
/// Level 0 is a bitmap of 32768 bits in 64-bit little-endian words; the bit is `key & 0x7fff`.
/// Nodes are not preserved themselves. They lie outside scratch.

namespace khocore::abi {

inline constexpr unsigned kRadixOrder0Bit = 52;
inline constexpr unsigned kRadixTableLog2 = 9;
inline constexpr unsigned kRadixBitmapLog2 = 15;
inline constexpr unsigned kRadixLevels = 6;

inline constexpr uint64_t kRadixTableEntries = uint64_t{1} << kRadixTableLog2;
inline constexpr uint64_t kRadixBitmapBits = uint64_t{1} << kRadixBitmapLog2;
static_assert(kRadixTableEntries * sizeof(uint64_t) == 4096);
static_assert(kRadixBitmapBits / 8 == 4096);
static_assert((kRadixLevels - 1) * kRadixTableLog2 + kRadixBitmapLog2 > kRadixOrder0Bit);

}  // namespace khocore::abi
