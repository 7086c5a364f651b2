// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/result.h"
#include "khocore/types.h"

namespace khocore {

/// What a page frame is used for.
enum class FrameState : uint8_t {
  kNotRam = 0,     ///< no RAM, or RAM that firmware keeps
  kFree = 1,       ///< in the page allocator's free lists
  kAllocated = 2,  ///< in use by this kernel
  kPreserved = 3,  ///< handed over by the previous kernel and not yet restored
};

/// One byte per page frame: who uses it, and as part of a block of which order. The page
/// allocator's view of memory, kept apart from the tracker so that the two can be compared.
///
/// Byte layout, which the host reads too: bits 0-4 hold the order on the first frame of a block and
/// 31 on its other frames, bits 5-6 the `FrameState`, bit 7 is set for frames in scratch.
class FrameTable {
 public:
  static constexpr unsigned kTail = 31;
  static constexpr unsigned kMaxOrder = 30;

  FrameTable() = default;
  /// `bytes` describes the frames from `first` on and outlives the table. All frames start as
  /// `kNotRam`.
  FrameTable(PageFrame first, Span<uint8_t> bytes);

  PageFrame first() const { return first_; }
  uint64_t size() const { return bytes_.size; }
  const uint8_t* bytes() const { return bytes_.data; }

  bool Covers(Block block) const;
  FrameState state(PageFrame frame) const;  ///< `kNotRam` outside the table
  bool is_head(PageFrame frame) const;      ///< false outside the table
  bool in_scratch(PageFrame frame) const;   ///< false outside the table
  Order order(PageFrame head) const;        ///< the order of the block that starts at `head`

  /// Marks all frames of `block`, whatever they were; whether they lie in scratch stays. The block
  /// must be covered by the table.
  void Set(Block block, FrameState state);
  /// Makes a block of the end of a larger one in the same state: its other frames are marked as it
  /// needs them already, however many they are.
  void SplitOff(Block block);
  /// Marks the frames that `range` touches as lying in scratch; their state stays. Frames outside
  /// the table are passed over.
  void SetScratch(PhysRange range);
  /// The exact inverse.
  void ClearScratch(PhysRange range);

  /// Marks an incoming preserved block, whose frames must all be `kFree` and outside scratch.
  /// Errors: `kOrderRange`, `kUnaligned`, `kOutsideRam` (not covered, or a frame that is
  /// `kNotRam`), `kInsideScratch`, `kOverlap` (a frame in use, or claimed before); `where` is the
  /// first such frame, `found` the address of the block. Nothing is marked on error.
  Status ClaimPreserved(Block block);

  /// Takes a preserved block into use: every page once, only if it was preserved, and with the
  /// order it was preserved with. The frames become `kAllocated`, so a second time fails.
  /// Errors: `kOutsideRam`, `kNotPreserved` (free, in use, restored before, or not the first frame
  /// of a block), `kOverlap` when a tail frame does not belong to the block. Nothing is changed on
  /// error.
  Result<Order> Restore(PageFrame head);

  /// The number of frames in a state.
  uint64_t Count(FrameState state) const;

 private:
  uint8_t* At(PageFrame frame) const { return bytes_.data + (frame - first_); }
  bool Contains(PageFrame frame) const { return frame - first_ < bytes_.size; }
  Span<uint8_t> Frames(PhysRange range) const;

  PageFrame first_;
  Span<uint8_t> bytes_;
};

}  // namespace khocore
