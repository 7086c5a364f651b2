// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/byte_words.h"
#include "khocore/frame_byte.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace khocore {

/// One byte per page frame: who uses it, and as part of a block of which order. The page
/// allocator's view of memory, kept apart from the tracker so that the two can be compared.
///
/// The byte of a frame, which the host reads too: bits 0-4 hold the order on the first frame of a
/// block and 31 on its other frames, bits 5-6 the `FrameState`, bit 7 is set for frames in scratch.
///
/// Bytes exist only where frames differ, so that the table costs what is used of RAM and not what
/// there is. Frames are described in chunks of `kChunkFrames`, aligned:
///
///     directory   a byte per chunk, rounded up to 8    the byte of the chunk's first frame, all
///                                                      others being tails of the same state; or
///                                                      `kPaged`: the chunk has a page of bytes
///                 a u64 per chunk                      the address of that page, where `kPaged`
///
/// Nothing in a chunk's page or in the u64 of a chunk without one is valid before `kPaged` says so.
class FrameTable {
 public:
  static constexpr unsigned kTail = frame_byte::kTail;
  /// A chunk is what a page of bytes describes.
  static constexpr unsigned kChunkOrder = kPageShift;
  static constexpr uint64_t kChunkFrames = uint64_t{1} << kChunkOrder;
  /// Frames in scratch that are no RAM: scratch is RAM, so no chunk needs this byte for itself.
  static constexpr uint8_t kPaged = 0x9f;

  /// Frames that are used alike: one state, all of them in scratch or none.
  struct Run {
    uint64_t frames = 0;
    FrameState state = FrameState::kNotRam;
    bool in_scratch = false;
  };

  FrameTable() = default;
  FrameTable(FrameTable&&) = default;
  FrameTable& operator=(FrameTable&&) = default;
  /// Describes `count` frames from `first` on, all of them `kNotRam`. `directory` has
  /// `DirectoryBytes(first, count)` bytes, is aligned to 8 and outlives the table.
  FrameTable(PageFrame first, uint64_t count, void* directory);

  static uint64_t ChunkCount(PageFrame first, uint64_t count);
  static uint64_t DirectoryBytes(PageFrame first, uint64_t count);

  /// Gives the table whole pages for chunks, page-aligned. They outlive the table, which keeps
  /// notes in those that it does not use yet.
  void AddPages(Span<uint8_t> pages);
  /// How many more pages would give each chunk its own: with none missing nothing below can fail
  /// for want of pages.
  uint64_t missing_pages() const { return chunk_count_ - chunk_pages_ - spare_pages_; }
  uint64_t spare_pages() const { return spare_pages_; }

  PageFrame first() const { return first_; }
  PageFrame end() const { return first_ + count_; }
  uint64_t size() const { return count_; }
  uint64_t chunk_count() const { return chunk_count_; }
  const void* directory() const { return summaries_; }

  bool Covers(Block block) const;
  uint8_t Byte(PageFrame frame) const;      ///< `kNotRam`, a tail, outside the table
  FrameState state(PageFrame frame) const;  ///< `kNotRam` outside the table
  bool is_head(PageFrame frame) const;      ///< false outside the table
  bool in_scratch(PageFrame frame) const;   ///< false outside the table
  Order order(PageFrame head) const;        ///< the order of the block that starts at `head`
  /// Whether `block` begins a block of this order in this state outside scratch.
  bool IsHead(Block block, FrameState state) const;
  /// The block that `frame` belongs to, whose first frame need not be known: a step for each order
  /// at most. The frame alone when no block's head covers it.
  Block BlockOf(PageFrame frame) const;
  /// The longest run from `frame` on, which the table contains.
  Run RunAt(PageFrame frame) const;

  // The calls below change the table. Errors of each: `kOutOfMemory` when a chunk needs a page and
  // there is none; the table is unchanged then, but for the chunks before it where a range is
  // marked.

  /// Marks the frames that `range` touches as tails of no block yet, whatever they were; whether
  /// they lie in scratch stays. Frames outside the table are passed over.
  Status Fill(PhysRange range, FrameState state);
  /// Marks all frames of `block`, whatever they were; whether they lie in scratch stays. The block
  /// is aligned and covered by the table.
  Status Set(Block block, FrameState state) {
    return SetSmall(block, state) ? Status(Ok{}) : SetOther(block, state);
  }
  /// Makes a block of the end of a larger one in the same state: only the head byte changes,
  /// because its other frames are tails already.
  Status SplitOff(Block block) {
    const SmallBlock small = FindWord(block.frame);  // of its head alone
    if (small.word == nullptr) return SetOrder(block.frame, block.order.log2());
    ChangeSmall(small, (small.bytes ^ block.order.log2()) & frame_byte::kOrderMask);
    return Ok{};
  }
  /// Makes a block of its two halves, which are blocks of the same state: of as many frames.
  Status Join(Block whole);
  /// Marks the frames that `range` touches as lying in scratch; their state stays. Frames outside
  /// the table are passed over.
  Status SetScratch(PhysRange range);
  /// The exact inverse.
  Status ClearScratch(PhysRange range);

  /// Marks an incoming preserved block, whose frames must all be `kFree` and outside scratch.
  /// Errors: `kOrderRange`, `kUnaligned`, `kOutsideRam` (not covered, or a frame that is
  /// `kNotRam`), `kInsideScratch`, `kOverlap` (a frame in use, or claimed before); `where` is the
  /// first such frame, `found` the address of the block. Nothing is marked on error.
  Status ClaimPreserved(Block block) {
    return ClaimSmall(block) ? Status(Ok{}) : ClaimOther(block);
  }

  /// Takes a preserved block into use: every page once, only if it was preserved, and with the
  /// order it was preserved with. The frames become `kAllocated`, so a second time fails.
  /// Errors: `kOutsideRam`, `kNotPreserved` (free, in use, restored before, or not the first frame
  /// of a block), `kOverlap` when a tail frame does not belong to the block. Nothing is changed on
  /// error.
  Result<Order> Restore(PageFrame head) {
    unsigned order = 0;
    return RestoreSmall(head, &order) ? Result<Order>(Order::FromLog2(order)) : RestoreOther(head);
  }

 private:
  /// Pages that no chunk has yet, described in the first of them.
  struct Spare {
    Spare* next;
    uint64_t bytes;
  };
  /// Frames by their distance from the first frame of the first chunk.
  struct Indexes {
    uint64_t begin = 0;
    uint64_t end = 0;
  };

  /// Where a block lies whose bytes are a part of one word.
  struct SmallBlock {
    uint8_t* word;   ///< aligned; null for any other block
    unsigned shift;  ///< of its first byte
    uint64_t bytes;  ///< the word, shifted so that it begins with the block
  };

  /// The word with the byte of `frame`, and so with all of a small block that begins there. Null
  /// when its chunk has no page. Frames of a chunk that are not in the table are `kNotRam`.
  SmallBlock FindWord(PageFrame frame) const {
    const uint64_t chunk = (frame.number() >> kChunkOrder) - (first_.number() >> kChunkOrder);
    if (chunk >= chunk_count_ || summaries_[chunk] != kPaged) return {};
    const uint64_t offset = frame.number() % kChunkFrames;
    uint8_t* const word = pages_[chunk] + AlignDown(offset, kWord);
    const auto shift = static_cast<unsigned>(offset % kWord * 8);
    return {word, shift, Load(word) >> shift};
  }
  /// Changes what a small block is, from bytes that were just found.
  static void ChangeSmall(const SmallBlock& at, uint64_t change) {
    Store(at.word, Load(at.word) ^ change << at.shift);
  }

  bool Contains(PageFrame frame) const { return frame - first_ < count_; }
  uint64_t IndexOf(PageFrame frame) const { return (frame - first_) + lead_; }
  Indexes IndexesIn(PhysRange range) const;
  /// The bytes of a chunk, made if there are none; null when there is no page for them.
  uint8_t* PageOf(uint64_t chunk);
  /// byte = (byte & keep) | add, for frames or for whole chunks.
  Status Change(Indexes frames, uint8_t keep, uint8_t add);
  Status ChangeChunks(uint64_t begin, uint64_t end, uint8_t keep, uint8_t add);
  Status SetOrder(PageFrame frame, unsigned order);
  // The two halves of marking, claiming and restoring. The first, for blocks that are found small
  // and as they should be, is inlined into its callers; false leaves it all to the second.
  bool SetSmall(Block block, FrameState state);
  Status SetOther(Block block, FrameState state);
  bool ClaimSmall(Block block);
  Status ClaimOther(Block block);
  bool RestoreSmall(PageFrame head, unsigned* order);
  Result<Order> RestoreOther(PageFrame head);
  /// The first frame with (byte & mask) != want, or the end. `mask` has all bits of the order or
  /// none, and then `want` is a tail.
  uint64_t FindOther(Indexes frames, uint8_t mask, uint8_t want) const;

  PageFrame first_;
  uint64_t count_ = 0;
  uint64_t lead_ = 0;  ///< frames of the first chunk before `first_`
  uint64_t chunk_count_ = 0;
  uint64_t chunk_pages_ = 0;
  uint64_t spare_pages_ = 0;
  bool may_have_scratch_ = false;  ///< whether `SetScratch` was called
  uint8_t* summaries_ = nullptr;
  uint8_t** pages_ = nullptr;
  Spare* spare_ = nullptr;
};

inline bool FrameTable::SetSmall(Block block, FrameState state) {
  using frame_byte::BytesOf;
  using frame_byte::kScratchBit;
  using frame_byte::kSmallMask;
  using frame_byte::kSmallOrders;
  const unsigned order = block.order.log2();
  if (order >= kSmallOrders) return false;
  const SmallBlock small = FindWord(block.frame);
  if (small.word == nullptr) return false;
  const uint64_t bytes = BytesOf(state, order).FirstWord();
  constexpr uint64_t kAllButScratch = ~Repeat(kScratchBit);
  ChangeSmall(small, (small.bytes ^ bytes) & kAllButScratch & kSmallMask[order]);
  return true;
}

inline bool FrameTable::ClaimSmall(Block block) {
  using frame_byte::BytesOf;
  using frame_byte::Encode;
  using frame_byte::kScratchBit;
  using frame_byte::kSmallMask;
  using frame_byte::kSmallOrders;
  using frame_byte::kStateMask;
  const unsigned order = block.order.log2();
  if (order >= kSmallOrders || !block.IsAligned()) return false;
  const SmallBlock small = FindWord(block.frame);
  if (small.word == nullptr) return false;
  constexpr uint64_t kUsed = Repeat(kStateMask | kScratchBit);
  constexpr uint64_t kUnused = Repeat(Encode(FrameState::kFree, 0));
  if ((small.bytes & kUsed & kSmallMask[order]) != (kUnused & kSmallMask[order])) return false;
  const uint64_t claimed = BytesOf(FrameState::kPreserved, order).FirstWord();
  ChangeSmall(small, (small.bytes ^ claimed) & kSmallMask[order]);
  return true;
}

inline bool FrameTable::RestoreSmall(PageFrame head, unsigned* order) {
  using frame_byte::BytesOf;
  using frame_byte::Encode;
  using frame_byte::kOrderMask;
  using frame_byte::kScratchBit;
  using frame_byte::kSmallMask;
  using frame_byte::kSmallOrders;
  const SmallBlock small = FindWord(head);
  if (small.word == nullptr) return false;
  *order = small.bytes & kOrderMask;
  if (*order >= kSmallOrders || !Block{head, Order::FromLog2(*order)}.IsAligned()) return false;
  const uint64_t claimed = BytesOf(FrameState::kPreserved, *order).FirstWord();
  if (((small.bytes ^ claimed) & Repeat(static_cast<uint8_t>(~kScratchBit)) & kSmallMask[*order]) !=
      0) {
    return false;
  }
  constexpr uint8_t kChange = Encode(FrameState::kPreserved, 0) ^ Encode(FrameState::kAllocated, 0);
  ChangeSmall(small, Repeat(kChange) & kSmallMask[*order]);
  return true;
}

}  // namespace khocore
