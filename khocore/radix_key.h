// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/abi/radix.h"
#include "khocore/types.h"

namespace khocore {

/// The arithmetic of `abi/radix.h`, for the tracker and the walk.

/// Frames from here on have no key: their addresses do not fit 64 bits.
inline constexpr uint64_t kRadixFrames = uint64_t{1} << abi::kRadixOrder0Bit;

/// The key of an aligned block below `kRadixFrames`.
constexpr uint64_t RadixKey(Block block) {
  return uint64_t{1} << (abi::kRadixOrder0Bit - block.order.log2()) |
         block.frame.number() >> block.order.log2();
}

/// The inverse. False when `key` has no valid order bit.
constexpr bool DecodeRadixKey(uint64_t key, Block* block) {
  if (key >> (abi::kRadixOrder0Bit - kMaxOrder) == 0) return false;
  if (key >> (abi::kRadixOrder0Bit + 1) != 0) return false;
  const unsigned order_bit = 63 - static_cast<unsigned>(__builtin_clzll(key));
  const unsigned order = abi::kRadixOrder0Bit - order_bit;
  const uint64_t number = (key ^ uint64_t{1} << order_bit) << order;
  *block = {PageFrame::FromNumber(number), Order::FromLog2(order)};
  return true;
}

/// The slot of `key` in a table, `level` from 1 to `abi::kRadixLevels` - 1.
constexpr uint64_t RadixSlot(uint64_t key, unsigned level) {
  return key >> ((level - 1) * abi::kRadixTableLog2 + abi::kRadixBitmapLog2) &
         (abi::kRadixTableEntries - 1);
}

/// The number of the leaf that `key` has its bit in.
constexpr uint64_t RadixLeaf(uint64_t key) { return key >> abi::kRadixBitmapLog2; }

/// The bit of `key` in its leaf.
constexpr uint64_t RadixBit(uint64_t key) { return key & (abi::kRadixBitmapBits - 1); }

}  // namespace khocore
