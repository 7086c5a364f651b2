// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/frame_table.h"

#include <string.h>

namespace khocore {
namespace {

constexpr uint8_t kOrderMask = 0x1f;
constexpr unsigned kStateShift = 5;
constexpr uint8_t kStateMask = 3 << kStateShift;
constexpr uint8_t kScratchBit = 0x80;

constexpr uint8_t Encode(FrameState state, unsigned order) {
  return static_cast<uint8_t>(static_cast<unsigned>(state) << kStateShift | order);
}
constexpr FrameState StateOf(uint8_t byte) {
  return static_cast<FrameState>((byte & kStateMask) >> kStateShift);
}

// Blocks of high orders have many frames: eight of their bytes are handled at once.
constexpr size_t kWord = sizeof(uint64_t);
constexpr uint64_t Repeat(uint8_t byte) { return byte * uint64_t{0x0101010101010101}; }

/// byte = (byte & keep) | add, for all of `bytes`.
void Update(Span<uint8_t> bytes, uint8_t keep, uint8_t add) {
  size_t i = 0;
  for (; bytes.size - i >= kWord; i += kWord) {
    uint64_t word;
    memcpy(&word, bytes.data + i, kWord);
    word = (word & Repeat(keep)) | Repeat(add);
    memcpy(bytes.data + i, &word, kWord);
  }
  for (; i < bytes.size; ++i) bytes[i] = static_cast<uint8_t>((bytes[i] & keep) | add);
}

/// The index of the first byte with (byte & mask) != want, or the size.
size_t FindOther(Span<const uint8_t> bytes, uint8_t mask, uint8_t want) {
  size_t i = 0;
  for (; bytes.size - i >= kWord; i += kWord) {
    uint64_t word;
    memcpy(&word, bytes.data + i, kWord);
    if ((word & Repeat(mask)) != Repeat(want)) break;
  }
  while (i < bytes.size && (bytes[i] & mask) == want) ++i;
  return i;
}

}  // namespace

FrameTable::FrameTable(PageFrame first, Span<uint8_t> bytes) : first_(first), bytes_(bytes) {
  if (bytes.size != 0) memset(bytes.data, Encode(FrameState::kNotRam, 0), bytes.size);
}

bool FrameTable::Covers(Block block) const {
  return Contains(block.frame) && block.order.pages() <= bytes_.size - (block.frame - first_);
}

FrameState FrameTable::state(PageFrame frame) const {
  return Contains(frame) ? StateOf(*At(frame)) : FrameState::kNotRam;
}

bool FrameTable::is_head(PageFrame frame) const {
  return Contains(frame) && (*At(frame) & kOrderMask) != kTail;
}

bool FrameTable::in_scratch(PageFrame frame) const {
  return Contains(frame) && (*At(frame) & kScratchBit) != 0;
}

Order FrameTable::order(PageFrame head) const {
  return Order::FromLog2(is_head(head) ? *At(head) & kOrderMask : 0);
}

void FrameTable::Set(Block block, FrameState state) {
  uint8_t* head = At(block.frame);
  *head = static_cast<uint8_t>((*head & kScratchBit) | Encode(state, block.order.log2()));
  Update({head + 1, block.order.pages() - 1}, kScratchBit, Encode(state, kTail));
}

void FrameTable::SplitOff(Block block) {
  uint8_t* head = At(block.frame);
  *head = static_cast<uint8_t>((*head & ~kOrderMask) | block.order.log2());
}

Span<uint8_t> FrameTable::Frames(PhysRange range) const {
  if (range.size == 0) return {};
  const uint64_t limit = first_.number() + bytes_.size;
  const uint64_t last_byte = range.Wraps() ? ~uint64_t{0} : range.begin.raw() + (range.size - 1);
  uint64_t begin = PageFrame::Containing(range.begin).number();
  uint64_t end = (last_byte >> kPageShift) + 1;
  if (begin < first_.number()) begin = first_.number();
  if (end > limit) end = limit;
  if (begin >= end) return {};
  return {At(PageFrame::FromNumber(begin)), end - begin};
}

void FrameTable::SetScratch(PhysRange range) {
  Update(Frames(range), static_cast<uint8_t>(~kScratchBit), kScratchBit);
}

void FrameTable::ClearScratch(PhysRange range) {
  Update(Frames(range), static_cast<uint8_t>(~kScratchBit), 0);
}

Status FrameTable::ClaimPreserved(Block block) {
  const uint64_t found = block.begin().raw();
  if (block.order.log2() > kMaxOrder) {
    return Error{ErrorCode::kOrderRange, block.begin(), block.order.log2(), kMaxOrder};
  }
  if (!block.IsAligned()) {
    return Error{ErrorCode::kUnaligned, block.begin(), found, block.bytes()};
  }
  if (!Covers(block)) return Error{ErrorCode::kOutsideRam, block.begin(), found};
  const Span<const uint8_t> frames{At(block.frame), block.order.pages()};
  const size_t bad = FindOther(frames, kStateMask | kScratchBit, Encode(FrameState::kFree, 0));
  if (bad == frames.size) {
    Set(block, FrameState::kPreserved);
    return Ok{};
  }
  const PhysAddr where = (block.frame + bad).address();
  const FrameState state = StateOf(frames[bad]);
  if (state == FrameState::kNotRam) return Error{ErrorCode::kOutsideRam, where, found};
  if (state != FrameState::kFree) return Error{ErrorCode::kOverlap, where, found};
  return Error{ErrorCode::kInsideScratch, where, found};
}

Result<Order> FrameTable::Restore(PageFrame head) {
  if (state(head) == FrameState::kNotRam) return Error{ErrorCode::kOutsideRam, head.address()};
  if (state(head) != FrameState::kPreserved || !is_head(head)) {
    return Error{ErrorCode::kNotPreserved, head.address()};
  }
  const Block block{head, order(head)};
  if (!Covers(block)) return Error{ErrorCode::kOverlap, head.address(), block.order.log2()};
  const Span<const uint8_t> tails{At(head) + 1, block.order.pages() - 1};
  const size_t other =
      FindOther(tails, static_cast<uint8_t>(~kScratchBit), Encode(FrameState::kPreserved, kTail));
  if (other != tails.size) {
    return Error{ErrorCode::kOverlap, (head + 1 + other).address(), head.address().raw()};
  }
  Set(block, FrameState::kAllocated);
  return block.order;
}

uint64_t FrameTable::Count(FrameState state) const {
  uint64_t count = 0;
  for (const uint8_t byte : bytes_) count += StateOf(byte) == state;
  return count;
}

}  // namespace khocore
