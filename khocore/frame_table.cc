// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/frame_table.h"

#include <string.h>

#include "khocore/byte_words.h"

namespace khocore {
namespace {

using frame_byte::BlockBytes;
using frame_byte::BytesOf;
using frame_byte::Encode;
using frame_byte::kOrderMask;
using frame_byte::kScratchBit;
using frame_byte::kSmallOrders;
using frame_byte::kStateMask;
using frame_byte::StateOf;

constexpr uint64_t kChunkMask = FrameTable::kChunkFrames - 1;

/// The byte of the other frames of a chunk with this summary.
constexpr uint8_t TailOf(uint8_t summary) { return summary | FrameTable::kTail; }

static_assert(FrameTable::kPaged == (kScratchBit | Encode(FrameState::kNotRam, FrameTable::kTail)));

/// byte = (byte & keep) | bytes, for a block inside a chunk whose page this is. A block is aligned
/// to its size: a small one lies in a part of one word, a larger one in whole words.
__attribute__((always_inline)) inline void MarkBlock(uint8_t* page, uint64_t offset, Order order,
                                                     uint8_t keep, BlockBytes bytes) {
  uint8_t* at = page + AlignDown(offset, kWord);
  if (order.pages() < kWord) {
    const uint64_t shift = offset % kWord * 8;
    const uint64_t mask = ((uint64_t{1} << (order.pages() * 8)) - 1) << shift;
    Store(at, (Load(at) & (Repeat(keep) | ~mask)) | (bytes.FirstWord() << shift & mask));
    return;
  }
  Store(at, (Load(at) & Repeat(keep)) | bytes.FirstWord());
  for (uint8_t* const end = at + order.pages(); (at += kWord) != end;) {
    Store(at, (Load(at) & Repeat(keep)) | Repeat(bytes.tail));
  }
}

/// Whether (byte & mask) == bytes for each frame of such a block, which has whole words.
__attribute__((always_inline)) inline bool IsBlock(const uint8_t* page, uint64_t offset,
                                                   Order order, uint8_t mask, BlockBytes bytes) {
  const uint8_t* at = page + offset;
  if ((Load(at) & Repeat(mask)) != bytes.FirstWord()) return false;
  for (const uint8_t* const end = at + order.pages(); (at += kWord) != end;) {
    if ((Load(at) & Repeat(mask)) != Repeat(bytes.tail)) return false;
  }
  return true;
}

/// Whether a block has whole words of bytes, all of them in one chunk's page.
bool IsLarge(Order order) {
  return order.log2() >= kSmallOrders && order.log2() < FrameTable::kChunkOrder;
}

uint64_t LeadOf(PageFrame first) { return first.number() & kChunkMask; }

}  // namespace

uint64_t FrameTable::ChunkCount(PageFrame first, uint64_t count) {
  return (LeadOf(first) + count + kChunkMask) >> kChunkOrder;
}

uint64_t FrameTable::DirectoryBytes(PageFrame first, uint64_t count) {
  const uint64_t chunks = ChunkCount(first, count);
  return AlignUp(chunks, kWord) + chunks * sizeof(uint64_t);
}

FrameTable::FrameTable(PageFrame first, uint64_t count, void* directory)
    : first_(first),
      count_(count),
      lead_(LeadOf(first)),
      chunk_count_(ChunkCount(first, count)),
      summaries_(static_cast<uint8_t*>(directory)) {
  pages_ = reinterpret_cast<uint8_t**>(summaries_ + AlignUp(chunk_count_, kWord));
  if (chunk_count_ == 0) return;
  memset(summaries_, Encode(FrameState::kNotRam, kTail), AlignUp(chunk_count_, kWord));
}

void FrameTable::AddPages(Span<uint8_t> pages) {
  if (pages.size == 0) return;
  auto* spare = reinterpret_cast<Spare*>(pages.data);
  *spare = {spare_, pages.size};
  spare_ = spare;
  spare_pages_ += pages.size / kPageSize;
}

uint8_t* FrameTable::PageOf(uint64_t chunk) {
  const uint8_t summary = summaries_[chunk];
  if (summary == kPaged) return pages_[chunk];
  if (spare_ == nullptr) return nullptr;
  Spare* const spare = spare_;
  spare->bytes -= kPageSize;
  if (spare->bytes == 0) spare_ = spare->next;
  auto* page = reinterpret_cast<uint8_t*>(spare) + spare->bytes;
  --spare_pages_;
  ++chunk_pages_;
  memset(page, TailOf(summary), kPageSize);
  page[0] = summary;
  pages_[chunk] = page;
  summaries_[chunk] = kPaged;
  return page;
}

bool FrameTable::Covers(Block block) const {
  return Contains(block.frame) && block.order.pages() <= count_ - (block.frame - first_);
}

uint8_t FrameTable::Byte(PageFrame frame) const {
  if (!Contains(frame)) return Encode(FrameState::kNotRam, kTail);
  const uint64_t index = IndexOf(frame);
  const uint8_t summary = summaries_[index >> kChunkOrder];
  if (summary == kPaged) return pages_[index >> kChunkOrder][index & kChunkMask];
  return (index & kChunkMask) == 0 ? summary : TailOf(summary);
}

FrameState FrameTable::state(PageFrame frame) const { return StateOf(Byte(frame)); }

bool FrameTable::is_head(PageFrame frame) const { return (Byte(frame) & kOrderMask) != kTail; }

bool FrameTable::in_scratch(PageFrame frame) const { return (Byte(frame) & kScratchBit) != 0; }

Order FrameTable::order(PageFrame head) const {
  const unsigned order = Byte(head) & kOrderMask;
  return Order::FromLog2(order == kTail ? 0 : order);
}

bool FrameTable::IsHead(Block block, FrameState state) const {
  return Byte(block.frame) == Encode(state, block.order.log2());
}

Block FrameTable::BlockOf(PageFrame frame) const {
  // Blocks are aligned to their size, so of the heads at the frame's multiples of two, the nearest
  // is its own.
  for (unsigned log2 = 0; log2 <= kMaxOrder; ++log2) {
    const uint64_t number = AlignDown(frame.number(), uint64_t{1} << log2);
    const PageFrame head = PageFrame::FromNumber(number);
    if (!is_head(head)) continue;
    if (order(head).log2() >= log2) return {head, order(head)};
    break;
  }
  return {frame, Order()};
}

FrameTable::Run FrameTable::RunAt(PageFrame frame) const {
  const uint8_t byte = Byte(frame);
  constexpr uint8_t kMask = kStateMask | kScratchBit;
  const uint64_t begin = IndexOf(frame);
  const uint64_t end = FindOther({begin, lead_ + count_}, kMask, byte & kMask);
  return {end - begin, StateOf(byte), (byte & kScratchBit) != 0};
}

Status FrameTable::ChangeChunks(uint64_t begin, uint64_t end, uint8_t keep, uint8_t add) {
  const auto changed = [=](uint8_t summary) -> uint8_t { return (summary & keep) | add; };
  // Whether a byte that is not `kPaged` may become it, or that one stay as it is.
  const bool may_be_paged = (add & kStateMask) == 0 && ((keep | add) & kScratchBit) != 0;
  const bool keeps_paged = changed(kPaged) == kPaged;
  for (uint64_t chunk = begin; chunk < end; ++chunk) {
    if (!keeps_paged) {  // those that are as they shall be stay
      chunk +=
          FindOtherByte({summaries_ + chunk, end - chunk}, static_cast<uint8_t>(~keep | add), add);
    }
    if (!may_be_paged) {
      const size_t left = end - chunk;
      const size_t without_page =
          chunk_pages_ == 0 ? left : FindByte({summaries_ + chunk, left}, kPaged);
      Update({summaries_ + chunk, without_page}, keep, add);
      chunk += without_page;
    }
    if (chunk == end) break;
    uint8_t& summary = summaries_[chunk];
    if (summary != kPaged && changed(summary) != kPaged) {
      summary = changed(summary);
      continue;
    }
    uint8_t* page = PageOf(chunk);
    if (page == nullptr) return Error{ErrorCode::kOutOfMemory, PhysAddr(), kPageSize};
    Update({page, kPageSize}, keep, add);
  }
  return Ok{};
}

Status FrameTable::Change(Indexes frames, uint8_t keep, uint8_t add) {
  for (uint64_t at = frames.begin; at < frames.end;) {
    const uint64_t chunk = at >> kChunkOrder;
    const uint64_t chunk_end = (chunk + 1) << kChunkOrder;
    if ((at & kChunkMask) == 0 && chunk_end <= frames.end) {
      const uint64_t whole = frames.end >> kChunkOrder;
      KHOCORE_RETURN_IF_ERROR(ChangeChunks(chunk, whole, keep, add));
      at = whole << kChunkOrder;
      continue;
    }
    const uint64_t end = chunk_end < frames.end ? chunk_end : frames.end;
    uint8_t* page = PageOf(chunk);
    if (page == nullptr) return Error{ErrorCode::kOutOfMemory, PhysAddr(), kPageSize};
    Update({page + (at & kChunkMask), end - at}, keep, add);
    at = end;
  }
  return Ok{};
}

Status FrameTable::SetOther(Block block, FrameState state) {
  const uint64_t begin = IndexOf(block.frame);
  const uint8_t tail = Encode(state, kTail);
  if (block.order.log2() >= kChunkOrder) {
    const uint64_t chunk = begin >> kChunkOrder;
    const uint64_t chunks = block.order.pages() >> kChunkOrder;
    KHOCORE_RETURN_IF_ERROR(ChangeChunks(chunk, chunk + chunks, kScratchBit, tail));
    return SetOrder(block.frame, block.order.log2());
  }
  uint8_t* page = PageOf(begin >> kChunkOrder);
  if (page == nullptr) return Error{ErrorCode::kOutOfMemory, block.begin(), kPageSize};
  MarkBlock(page, begin & kChunkMask, block.order, kScratchBit, BytesOf(state, block.order.log2()));
  return Ok{};
}

Status FrameTable::SetOrder(PageFrame frame, unsigned order) {
  const uint64_t index = IndexOf(frame);
  const uint64_t chunk = index >> kChunkOrder;
  const auto changed = static_cast<uint8_t>((Byte(frame) & ~kOrderMask) | order);
  if ((index & kChunkMask) == 0 && summaries_[chunk] != kPaged && changed != kPaged) {
    summaries_[chunk] = changed;
    return Ok{};
  }
  uint8_t* page = PageOf(chunk);
  if (page == nullptr) return Error{ErrorCode::kOutOfMemory, frame.address(), kPageSize};
  page[index & kChunkMask] = changed;
  return Ok{};
}

Status FrameTable::Join(Block whole) {
  KHOCORE_RETURN_IF_ERROR(SetOrder(whole.frame + whole.order.pages() / 2, kTail));
  return SetOrder(whole.frame, whole.order.log2());
}

FrameTable::Indexes FrameTable::IndexesIn(PhysRange range) const {
  if (range.size == 0) return {};
  const uint64_t last_byte = range.Wraps() ? ~uint64_t{0} : range.begin.raw() + (range.size - 1);
  uint64_t begin = PageFrame::Containing(range.begin).number();
  uint64_t end = (last_byte >> kPageShift) + 1;
  if (begin < first_.number()) begin = first_.number();
  if (end > first_.number() + count_) end = first_.number() + count_;
  if (begin >= end) return {};
  return {IndexOf(PageFrame::FromNumber(begin)), IndexOf(PageFrame::FromNumber(end))};
}

Status FrameTable::Fill(PhysRange range, FrameState state) {
  // A new table has no bit that has to stay, and all of RAM is filled then.
  return Change(IndexesIn(range), may_have_scratch_ ? kScratchBit : 0, Encode(state, kTail));
}

Status FrameTable::SetScratch(PhysRange range) {
  may_have_scratch_ = true;
  return Change(IndexesIn(range), static_cast<uint8_t>(~kScratchBit), kScratchBit);
}

Status FrameTable::ClearScratch(PhysRange range) {
  return Change(IndexesIn(range), static_cast<uint8_t>(~kScratchBit), 0);
}

uint64_t FrameTable::FindOther(Indexes frames, uint8_t mask, uint8_t want) const {
  const bool paged_differs = (kPaged & mask) != want;
  for (uint64_t at = frames.begin; at < frames.end;) {
    const uint64_t chunk = at >> kChunkOrder;
    if (paged_differs && (at & kChunkMask) == 0) {  // chunks without a page that are the same
      const Span<const uint8_t> whole{summaries_ + chunk, (frames.end >> kChunkOrder) - chunk};
      const size_t same = FindOtherByte(whole, mask, want);
      at += same << kChunkOrder;
      if (same != 0) continue;
    }
    const uint64_t chunk_end = (chunk + 1) << kChunkOrder;
    const uint64_t end = chunk_end < frames.end ? chunk_end : frames.end;
    if (summaries_[chunk] == kPaged) {
      const size_t same = FindOtherByte({pages_[chunk] + (at & kChunkMask), end - at}, mask, want);
      if (same != end - at) return at + same;
      at = end;
      continue;
    }
    const uint8_t summary = summaries_[chunk];
    if ((at & kChunkMask) == 0 && (summary & mask) != want) return at;
    if ((TailOf(summary) & mask) != want) return at + ((at & kChunkMask) == 0 ? 1 : 0);
    at = end;
  }
  return frames.end;
}

Status FrameTable::ClaimOther(Block block) {
  const uint64_t found = block.begin().raw();
  if (block.order.log2() > kMaxOrder) {
    return Error{ErrorCode::kOrderRange, block.begin(), block.order.log2(), kMaxOrder};
  }
  if (!block.IsAligned()) {
    return Error{ErrorCode::kUnaligned, block.begin(), found, block.bytes()};
  }
  if (!Covers(block)) return Error{ErrorCode::kOutsideRam, block.begin(), found};
  const uint64_t begin = IndexOf(block.frame);
  if (IsLarge(block.order) && summaries_[begin >> kChunkOrder] == kPaged) {
    uint8_t* const page = pages_[begin >> kChunkOrder];
    constexpr uint8_t kUnused = Encode(FrameState::kFree, 0);
    if (IsBlock(page, begin & kChunkMask, block.order, kStateMask | kScratchBit,
                {kUnused, kUnused})) {
      MarkBlock(page, begin & kChunkMask, block.order, 0,
                BytesOf(FrameState::kPreserved, block.order.log2()));
      return Ok{};
    }
  }
  const uint64_t end = begin + block.order.pages();
  const uint64_t bad =
      FindOther({begin, end}, kStateMask | kScratchBit, Encode(FrameState::kFree, 0));
  if (bad == end) return Set(block, FrameState::kPreserved);
  const PageFrame frame = block.frame + (bad - begin);
  const PhysAddr where = frame.address();
  if (state(frame) == FrameState::kNotRam) return Error{ErrorCode::kOutsideRam, where, found};
  if (state(frame) != FrameState::kFree) return Error{ErrorCode::kOverlap, where, found};
  return Error{ErrorCode::kInsideScratch, where, found};
}

Result<Order> FrameTable::RestoreOther(PageFrame head) {
  const uint8_t byte = Byte(head);
  if (StateOf(byte) == FrameState::kNotRam) return Error{ErrorCode::kOutsideRam, head.address()};
  if (StateOf(byte) != FrameState::kPreserved || (byte & kOrderMask) == kTail) {
    return Error{ErrorCode::kNotPreserved, head.address()};
  }
  const Block block{head, Order::FromLog2(byte & kOrderMask)};
  if (!Covers(block)) return Error{ErrorCode::kOverlap, head.address(), block.order.log2()};
  const uint64_t begin = IndexOf(head);
  constexpr auto kAllButScratch = static_cast<uint8_t>(~kScratchBit);
  if (IsLarge(block.order) && block.IsAligned() && summaries_[begin >> kChunkOrder] == kPaged) {
    uint8_t* const page = pages_[begin >> kChunkOrder];
    if (IsBlock(page, begin & kChunkMask, block.order, kAllButScratch,
                BytesOf(FrameState::kPreserved, block.order.log2()))) {
      MarkBlock(page, begin & kChunkMask, block.order, kScratchBit,
                BytesOf(FrameState::kAllocated, block.order.log2()));
      return block.order;
    }
  }
  const uint64_t end = begin + block.order.pages();
  const uint64_t other =
      FindOther({begin + 1, end}, kAllButScratch, Encode(FrameState::kPreserved, kTail));
  if (other != end) {
    return Error{ErrorCode::kOverlap, (head + (other - begin)).address(), head.address().raw()};
  }
  KHOCORE_RETURN_IF_ERROR(Set(block, FrameState::kAllocated));
  return block.order;
}

}  // namespace khocore
