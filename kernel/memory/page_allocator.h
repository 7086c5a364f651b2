// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/node_map.h"
#include "kernel/base/random.h"
#include "khocore/frame_table.h"
#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace memory {

/// A buddy allocator over a frame table. Nothing it returns spans NUMA nodes. It hands out memory
/// outside scratch only, so everything it returns may be preserved; scratch is left to the next
/// kernel. Free blocks are linked through their own first page.
class PageAllocator : public khocore::PageSource {
 public:
  static constexpr unsigned kMaxOrder = 20;
  /// How many blocks are put anywhere in memory, the first ones that are allocated.
  static constexpr unsigned kScattered = 8;

  /// Takes over every frame that is `kFree` and outside scratch, none of which heads a block.
  /// `memory`, `frames` and `nodes` outlive the allocator. Call once.
  void Initialize(const khocore::PhysicalMemory& memory, khocore::FrameTable& frames,
                  const base::NodeMap& nodes);

  /// From here on `random` decides which free block is used: the oldest or the newest of the best
  /// size, and for the first `kScattered` while nearly all memory is free, of any size that is
  /// large enough; the first two of these lie near either end of RAM, the third at a boundary of
  /// nodes where there is one. So a state lies in some distant parts of a large machine, around
  /// those first ones: what it takes to describe it (nodes of the tracker, free blocks between its
  /// pages) does not grow with RAM, and large states still fit into a small machine.
  void SetRandom(base::Random* random) { random_ = random; }

  /// A block, owned by the caller until `Free`. Its content is whatever was there before.
  /// Errors: `kOutOfMemory`, `kOrderRange`.
  khocore::Result<khocore::PageFrame> Allocate(khocore::Order order);
  /// Frees a block that `Allocate` returned or that was restored. Its order is the frame
  /// table's. Errors: `kNotAllocated` when `head` is no allocated block.
  khocore::Status Free(khocore::PageFrame head);

  /// `size` bytes, contiguous and aligned, as blocks that together cover exactly its pages; larger
  /// than the largest block, too. Errors: `kOutOfMemory`.
  khocore::Result<khocore::PhysRange> AllocateRange(uint64_t size, uint64_t alignment);
  /// Frees a range whose blocks were all allocated or restored. Errors: as `Free`.
  khocore::Status FreeRange(khocore::PhysRange range);

  /// Makes `block`, pages that are allocated already, one allocation of its order; what is left of
  /// the allocations that they belonged to is regrouped by the caller, too. Errors: `kOutOfMemory`.
  khocore::Status Regroup(khocore::Block block);

  khocore::Result<khocore::PageFrame> AllocatePage() override;
  void FreePage(khocore::PageFrame page) override;

  uint64_t free_pages() const { return free_pages_; }
  const base::NodeMap& nodes() const { return *nodes_; }

 private:
  static constexpr khocore::PageFrame kNone = khocore::PageFrame::FromNumber(~uint64_t{0});

  /// The neighbours in a list, in the first bytes of a free block.
  struct Links {
    khocore::PageFrame next;
    khocore::PageFrame previous;
  };
  struct List {
    khocore::PageFrame first = kNone;
    khocore::PageFrame last = kNone;
  };

  Links* LinksOf(khocore::PageFrame frame) const;
  /// Sets the state of every frame of `range`, as the fewest blocks.
  void Mark(khocore::PhysRange range, khocore::FrameState state);
  /// Puts a block into its list whose frames are marked already.
  void Enter(khocore::Block block);
  void Unlink(khocore::Block block);
  /// Which free block is split, and the block that is taken out of it.
  struct Choice {
    unsigned list;  // the free block's order, above `kMaxOrder` when there is none
    khocore::PageFrame free;
    khocore::PageFrame taken;
  };
  Choice Choose(khocore::Order order);
  /// The oldest or the newest of a list, and the begin of it.
  Choice End(unsigned list, bool oldest) const;
  /// The free block of `order` around the last page below the first boundary of nodes.
  Choice AtBoundary(khocore::Order order) const;
  void InsertAndMerge(khocore::Block block);
  void InsertRange(khocore::PhysRange range);
  /// The lowest free range of this size, whatever blocks it is made of; empty when there is none.
  khocore::PhysRange FindFree(uint64_t bytes, uint64_t alignment) const;
  /// Takes exactly `kept`, which `FindFree` has found, out of the free blocks that it touches.
  void TakeOut(khocore::PhysRange kept);

  const khocore::PhysicalMemory* memory_ = nullptr;
  khocore::FrameTable* frames_ = nullptr;
  const base::NodeMap* nodes_ = nullptr;
  khocore::PageFrame boundary_ = kNone;  ///< the first page of the second node
  base::Random* random_ = nullptr;
  List lists_[kMaxOrder + 1];
  uint64_t all_pages_ = 0;  ///< free at the start
  uint64_t free_pages_ = 0;
  unsigned scattered_ = 0;
};

/// Splits a page-aligned range into the fewest aligned blocks that each lie in one node, front to
/// back, and calls `visit(block)` for each until it returns an error, which is passed on.
template <typename Visit>
khocore::Status ForEachBlock(const base::NodeMap& nodes, khocore::PhysRange range, Visit visit) {
  while (range.size >= khocore::kPageSize) {
    const khocore::Block block = khocore::FirstBlock(nodes.FrontOf(range));
    KHOCORE_RETURN_IF_ERROR(visit(block));
    range = {block.end(), range.size - block.bytes()};
  }
  return khocore::Ok{};
}

}  // namespace memory
