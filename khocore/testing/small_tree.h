// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "khocore/physical_memory.h"
#include "khocore/testing/interleavings.h"
#include "khocore/tracker.h"

namespace khocore {

/// A tracker in a few pages of RAM, for `Interleavings`. Each CPU has its own pages for nodes; a
/// page that was freed is not used again in the same interleaving.
class SmallTree {
 public:
  static constexpr uint64_t kPagesEach = 16;
  static constexpr uint64_t kBlocks = 32;  ///< frames behind those for nodes
  static constexpr uint64_t kFrames = (kMaxWorkers + 1) * kPagesEach + kBlocks;

  /// The frame of a block: the number among those that are not for nodes.
  static PageFrame Frame(uint64_t number);
  static Block BlockOf(uint64_t number, unsigned order = 0) {
    return {Frame(number), Order::FromLog2(order)};
  }
  static PhysRange RangeOf(uint64_t first, uint64_t frames) {
    return {Frame(first).address(), frames * kPageSize};
  }

  /// An empty tree, whose memory the interleaving watches.
  explicit SmallTree(Interleavings& run);
  SmallTree(const SmallTree&) = delete;
  SmallTree& operator=(const SmallTree&) = delete;

  /// Frame number and order of blocks.
  using Blocks = std::set<std::pair<uint64_t, unsigned>>;
  /// Preserves what is there before CPUs start.
  void Begin(const Blocks& blocks);
  /// From now on the call of a CPU with this number fails with `kOutOfMemory`, the first being 0.
  void FailAt(unsigned cpu, uint64_t call) { pages_[cpu].fails_at = call; }
  Tracker& tracker(unsigned cpu) { return trackers_[cpu]; }
  /// The memory of a block's first word.
  uint64_t* Content(uint64_t number);

  /// All work at the same time, then what always holds: counts, and that no page is lost. False
  /// after a fault.
  bool Run(std::vector<Interleavings::Work> work);

  /// What is in the tree after `Run`.
  const Blocks& blocks() const { return blocks_; }
  uint64_t nodes() const { return nodes_; }

  /// Ends the interleaving with a fault unless `is_right`.
  bool Expect(bool is_right, const std::string& what);

 private:
  class Pages final : public PageSource {
   public:
    Result<PageFrame> AllocatePage() override;
    void FreePage(PageFrame page) override;

    SmallTree* tree = nullptr;
    uint64_t first = 0;
    uint64_t used = 0;
    uint64_t out = 0;
    uint64_t fails_at = ~uint64_t{0};
  };

  bool Check();

  Interleavings& run_;
  Pages pages_[kMaxWorkers + 1];  ///< the last is for what is there from the beginning
  Tracker first_;
  Tracker* trackers_;
  Blocks blocks_;
  uint64_t nodes_ = 0;
};

}  // namespace khocore
