// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/byte_words.h"
#include "khocore/types.h"

namespace khocore {

/// What a page frame is used for.
enum class FrameState : uint8_t {
  kNotRam = 0,     ///< no RAM, or RAM that firmware keeps
  kFree = 1,       ///< in the page allocator's free lists
  kAllocated = 2,  ///< in use by this kernel
  kPreserved = 3,  ///< handed over by the previous kernel and not yet restored
};

/// The byte of a frame (`FrameTable` has the layout), and those of a block.
namespace frame_byte {

inline constexpr unsigned kTail = 31;
inline constexpr uint8_t kOrderMask = 0x1f;
inline constexpr unsigned kStateShift = 5;
inline constexpr uint8_t kStateMask = 3 << kStateShift;
inline constexpr uint8_t kScratchBit = 0x80;
static_assert(kTail > kMaxOrder && kTail <= kOrderMask);

constexpr uint8_t Encode(FrameState state, unsigned order) {
  return static_cast<uint8_t>(static_cast<unsigned>(state) << kStateShift | order);
}
constexpr FrameState StateOf(uint8_t byte) {
  return static_cast<FrameState>((byte & kStateMask) >> kStateShift);
}

/// The bytes of a block: that of its first frame, and that of all others.
struct BlockBytes {
  uint8_t head;
  uint8_t tail;

  /// A word of a block that begins at its lowest byte: little-endian, as all of the machines are.
  constexpr uint64_t FirstWord() const { return (Repeat(tail) & ~uint64_t{0xff}) | head; }
};

constexpr BlockBytes BytesOf(FrameState state, unsigned order) {
  return {Encode(state, order), Encode(state, kTail)};
}

/// Blocks of these orders have fewer bytes than a word. They are most of all blocks.
inline constexpr unsigned kSmallOrders = 3;
static_assert(1 << kSmallOrders == kWord);
/// By order: the bits of such a block in a word that begins with it.
inline constexpr uint64_t kSmallMask[kSmallOrders] = {0xff, 0xffff, 0xffffffff};

}  // namespace frame_byte
}  // namespace khocore
