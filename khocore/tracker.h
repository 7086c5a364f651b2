// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/radix_key.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace khocore {

/// The radix tree of preserved blocks that this kernel hands to the next one
/// (`abi/radix.h` has the layout). One bit per block; blocks are never merged, so the next kernel
/// gets each back with the order it was preserved with.
///
/// Node pages come from the page source and lie outside scratch. They are not preserved
/// themselves: the next kernel walks the tree before it allocates outside scratch.
///
/// Any number of CPUs change one tree at the same time without a lock, each through a `Tracker` of
/// its own that `ForCpu` makes: bits are set and cleared atomically, and a new branch is hung in by
/// one compare-exchange. Of several CPUs that preserve the same block, or unpreserve it, exactly
/// one succeeds. What a `Tracker` itself holds belongs to one CPU.
class Tracker {
 public:
  Tracker() = default;

  /// Allocates the root node. `memory` and `pages` outlive the tracker.
  /// Errors: `kOutOfMemory`, `kOutsideRam` when a page of the source is not in `memory`.
  static Result<Tracker> Create(const PhysicalMemory& memory, PageSource& pages);

  /// A tracker of the same tree for another CPU, with a page source of that CPU's own. Its counts
  /// start at zero.
  Tracker ForCpu(PageSource& pages) const;
  /// Adds the counts of a tracker that `ForCpu` made and that is no longer used.
  void Join(const Tracker& other);

  /// Marks a block. Errors: `kOrderRange`, `kUnaligned`, `kOutsideRam` (of the block, or of a page
  /// of the source), `kAlreadyPreserved` (the very same block), `kOutOfMemory`; on error the tree
  /// is as before, node for node, but for what other CPUs have done.
  Status Preserve(Block block) {
    return PreserveNear(block) ? Status(Ok{}) : PreserveAnywhere(block);
  }

  /// Adds the nodes that `Preserve` of the block would add, so that it allocates nothing. Errors:
  /// as `Preserve` but for `kAlreadyPreserved`.
  Status MakeRoom(Block block);

  /// The exact inverse of `Preserve`. Errors: `kNotPreserved`, `kOrderRange`, `kUnaligned`.
  Status Unpreserve(Block block);

  /// Preserves a page-aligned range as the fewest aligned blocks, front to back (as Linux's
  /// kho_preserve_pages does). Errors: as `Preserve`; on error none of it is preserved, but node
  /// pages that were added stay in the tree, empty.
  Status PreserveRange(PhysRange range);
  /// The exact inverse of `PreserveRange` with the same range. Errors: `kNotPreserved`; nothing is
  /// changed then.
  Status UnpreserveRange(PhysRange range);

  bool IsPreserved(Block block) const;

  /// What `preserved-memory-map` holds.
  PageFrame root() const { return root_; }
  // What was done through this tracker and those that joined it. One CPU alone may have unpreserved
  // more than it preserved; its counts then wrap, and the sum over all CPUs is right.
  uint64_t node_count() const { return node_count_; }
  uint64_t block_count() const { return block_count_; }
  uint64_t page_count() const { return page_count_; }

  /// Gives all node pages back. No tracker of the tree may be used any more.
  void Destroy();

 private:
  /// The two halves of `Preserve`. The first is inlined into loops over blocks, and is for blocks
  /// beside the last one: in the same leaf and the same window of RAM. False, and nothing done,
  /// leaves it all to the second.
  bool PreserveNear(Block block);
  Status PreserveAnywhere(Block block);

  /// Sets the bit of a block in its leaf. Whether it was clear before.
  static bool SetBit(uint64_t* leaf, uint64_t key) {
    const uint64_t bit = uint64_t{1} << (key % 64);
    return (__atomic_fetch_or(&leaf[RadixBit(key) / 64], bit, __ATOMIC_ACQ_REL) & bit) == 0;
  }

  uint64_t* Node(PageFrame page) const;
  Result<uint64_t*> AllocateNode(PageFrame* page);
  uint64_t* FindLeaf(uint64_t key) const;
  /// Returns the leaf, creating missing ancestors.
  Result<uint64_t*> MakeLeaf(uint64_t key);
  /// The `levels` nodes that lead to the leaf of `key`, the leaf first, not in the tree yet.
  Result<uint64_t*> MakeBranch(uint64_t key, unsigned levels, PageFrame* made);
  void FreeNodes(PageFrame page, unsigned level);

  const PhysicalMemory* memory_ = nullptr;
  PageSource* pages_ = nullptr;
  PageFrame root_;
  /// The leaf that was used last, because neighbouring blocks share it. Nodes stay where they are.
  uint64_t* last_leaf_ = nullptr;
  uint64_t last_leaf_number_ = ~uint64_t{0};  ///< until there is one, of none
  /// The pages of the window of RAM that was used last.
  PageFrame last_ram_;
  uint64_t last_ram_pages_ = 0;
  uint64_t node_count_ = 0;
  uint64_t block_count_ = 0;
  uint64_t page_count_ = 0;
};

inline bool Tracker::PreserveNear(Block block) {
  if (block.order.log2() > kMaxOrder || !block.IsAligned()) return false;
  const uint64_t before = block.frame - last_ram_;
  if (before >= last_ram_pages_) return false;
  if (last_ram_pages_ - before < block.order.pages()) return false;
  const uint64_t key = RadixKey(block);
  if (RadixLeaf(key) != last_leaf_number_ || !SetBit(last_leaf_, key)) return false;
  ++block_count_;
  page_count_ += block.order.pages();
  return true;
}

}  // namespace khocore
