// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <stdio.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "khocore/testing/interleavings.h"
#include "khocore/testing/small_tree.h"

namespace khocore {
namespace {

using Blocks = SmallTree::Blocks;

constexpr uint64_t kBranch = 5;  ///< nodes from a slot of the root to a leaf

/// Fails with the interleaving that has a fault, and prints how many there are.
void ForEach(const std::function<void(Interleavings&)>& body, Interleavings::Options options = {}) {
  const Interleavings::Count count = Interleavings::ForEach(body, options);
  if (!count.fault.empty()) ADD_FAILURE() << count.fault;
  printf("%lu interleavings, %lu steps\n", count.interleavings, count.steps);
}

/// Everything that one CPU does with one block.
struct Change {
  enum class Kind { kPreserve, kUnpreserve, kMakeRoom };
  Kind kind;
  Block block;
};
constexpr auto kPreserve = Change::Kind::kPreserve;
constexpr auto kUnpreserve = Change::Kind::kUnpreserve;
constexpr auto kMakeRoom = Change::Kind::kMakeRoom;

/// What became of each change of each CPU: nothing when it was done.
using Code = std::optional<ErrorCode>;
using Codes = std::vector<std::vector<Code>>;

Code Apply(Tracker& tracker, const Change& change) {
  Status status = Ok{};
  switch (change.kind) {
    case Change::Kind::kPreserve:
      status = tracker.Preserve(change.block);
      break;
    case Change::Kind::kUnpreserve:
      status = tracker.Unpreserve(change.block);
      break;
    case Change::Kind::kMakeRoom:
      status = tracker.MakeRoom(change.block);
      break;
  }
  return status.ok() ? Code() : status.error().code;
}

std::pair<uint64_t, unsigned> Known(Block block) {
  return {block.frame - SmallTree::Frame(0), block.order.log2()};
}

/// Whether CPUs that do one change after the other, in some sequence, find the same.
bool IsSequential(const std::vector<std::vector<Change>>& changes, const Codes& codes,
                  std::vector<size_t> next, Blocks blocks, const Blocks& expected) {
  bool is_end = true;
  for (size_t cpu = 0; cpu < changes.size(); ++cpu) {
    if (next[cpu] == changes[cpu].size()) continue;
    is_end = false;
    const Change& change = changes[cpu][next[cpu]];
    const Code code = codes[cpu][next[cpu]];
    Blocks after = blocks;
    bool fits = code == ErrorCode::kOutOfMemory || change.kind == kMakeRoom;
    if (!fits && change.kind == kPreserve) {
      fits = !code == after.insert(Known(change.block)).second;
    } else if (!fits) {
      fits = !code == (after.erase(Known(change.block)) != 0);
    }
    if (!fits) continue;
    ++next[cpu];
    if (IsSequential(changes, codes, next, after, expected)) return true;
    --next[cpu];
  }
  return is_end && blocks == expected;
}

/// One CPU for each list of changes, with blocks that are there before and the allocation of each
/// CPU that fails.
void Interleave(const std::vector<std::vector<Change>>& changes, const Blocks& before = {},
                const std::vector<uint64_t>& failures = {}, Interleavings::Options options = {}) {
  ForEach(
      [&](Interleavings& run) {
        SmallTree tree(run);
        tree.Begin(before);
        for (unsigned i = 0; i < failures.size(); ++i) tree.FailAt(i, failures[i]);
        Codes codes(changes.size());
        std::vector<Interleavings::Work> work;
        for (unsigned cpu = 0; cpu < changes.size(); ++cpu) {
          codes[cpu].resize(changes[cpu].size());
          work.emplace_back([&, cpu] {
            for (size_t i = 0; i < changes[cpu].size(); ++i) {
              codes[cpu][i] = Apply(tree.tracker(cpu), changes[cpu][i]);
            }
          });
        }
        if (!tree.Run(work)) return;
        for (unsigned cpu = static_cast<unsigned>(failures.size()); cpu < codes.size(); ++cpu) {
          for (const Code& code : codes[cpu]) {
            tree.Expect(code != ErrorCode::kOutOfMemory, "a page was there and was not used");
          }
        }
        tree.Expect(IsSequential(changes, codes, std::vector<size_t>(changes.size()), before,
                                 tree.blocks()),
                    "no sequence of the same changes has these results");
      },
      options);
}

Change Preserving(uint64_t number, unsigned order = 0) {
  return {kPreserve, SmallTree::BlockOf(number, order)};
}
Change Unpreserving(uint64_t number, unsigned order = 0) {
  return {kUnpreserve, SmallTree::BlockOf(number, order)};
}

TEST(TrackerInterleavingsTest, TwoPreserveTheSameBlock) {
  Interleave({{Preserving(0)}, {Preserving(0)}});
}

/// Independent operations in every sequence, too: none of what is left out has a fault.
TEST(TrackerInterleavingsTest, TwoPreserveTheSameBlockUnreduced) {
  Interleave({{Preserving(0)}, {Preserving(0)}}, {}, {}, {.is_reduced = false});
}

TEST(TrackerInterleavingsTest, TwoPreserveNeighbours) {
  Interleave({{Preserving(0), Preserving(2)}, {Preserving(1), Preserving(2)}});
}

/// Blocks of orders 2 and 3 share the slot of the root, and have branches of their own below.
TEST(TrackerInterleavingsTest, TwoBuildBranchesThatShareATable) {
  Interleave({{Preserving(0, 2)}, {Preserving(8, 3)}});
  Interleave({{Preserving(0, 2), Preserving(8, 3)}, {Preserving(8, 3), Preserving(0, 2)}});
}

TEST(TrackerInterleavingsTest, TwoOfWhichAnAllocationFails) {
  for (uint64_t first = 0; first <= kBranch; ++first) {
    Interleave({{Preserving(0)}, {Preserving(1)}}, {}, {first});
    Interleave({{Preserving(0, 2), Preserving(0)}, {Preserving(8, 3)}}, {}, {first, first});
    Interleave({{Preserving(0, 2)}, {Preserving(8, 3), Preserving(1)}}, {}, {kBranch, first});
  }
}

TEST(TrackerInterleavingsTest, TwoUnpreserveTheSameBlock) {
  Interleave({{Unpreserving(0)}, {Unpreserving(0)}}, {{0, 0}});
  Interleave({{Unpreserving(0), Preserving(0)}, {Unpreserving(0), Preserving(1)}},
             {{0, 0}, {1, 0}, {2, 0}});
}

TEST(TrackerInterleavingsTest, OnePreservesWhatTheOtherUnpreserves) {
  Interleave({{Preserving(0), Unpreserving(0)}, {Preserving(0), Unpreserving(0)}});
  Interleave({{Preserving(0), Unpreserving(0)}, {Unpreserving(0), Preserving(0)}}, {{1, 0}});
}

TEST(TrackerInterleavingsTest, OneMakesRoomForTheOther) {
  Interleave({{{kMakeRoom, SmallTree::BlockOf(0)}, Preserving(0)}, {Preserving(0)}});
  Interleave({{{kMakeRoom, SmallTree::BlockOf(0, 2)}}, {Preserving(8, 3)}}, {}, {3});
}

TEST(TrackerInterleavingsTest, ThreePreserveTheSameBlock) {
  Interleave({{Preserving(0)}, {Preserving(0)}, {Preserving(0)}});
}

TEST(TrackerInterleavingsTest, ThreeBuildBranchesThatShareATable) {
  Interleave({{Preserving(0, 2)}, {Preserving(8, 3)}, {Preserving(16, 4)}});
}

TEST(TrackerInterleavingsTest, ThreeOfWhichAnAllocationFails) {
  for (const uint64_t first : {uint64_t{0}, kBranch - 1}) {
    Interleave({{Preserving(0)}, {Preserving(1)}, {Preserving(0)}}, {}, {first});
  }
}

TEST(TrackerInterleavingsTest, ThreeChangeTheSameBlock) {
  Interleave({{Preserving(0)}, {Unpreserving(0)}, {Preserving(0), Unpreserving(0)}}, {{1, 0}});
}

TEST(TrackerInterleavingsTest, NightlyThreeChangeTheSameBlocks) {
  Interleave({{Preserving(0), Unpreserving(0)}, {Preserving(0)}, {Preserving(1)}});
  Interleave({{Preserving(0, 2), Preserving(8, 3)}, {Preserving(8, 3)}, {Preserving(16, 4)}});
  for (uint64_t first = 0; first <= kBranch; ++first) {
    Interleave({{Preserving(0)}, {Preserving(0)}, {Preserving(1)}}, {}, {first, kBranch, 0});
  }
}

/// Ranges that overlap: each is preserved as a whole, or nothing of it.
void InterleaveRanges(const std::vector<PhysRange>& ranges,
                      const std::vector<uint64_t>& failures = {}) {
  ForEach([&](Interleavings& run) {
    SmallTree tree(run);
    for (unsigned i = 0; i < failures.size(); ++i) tree.FailAt(i, failures[i]);
    std::vector<bool> held(ranges.size());
    std::vector<Interleavings::Work> work;
    for (unsigned cpu = 0; cpu < ranges.size(); ++cpu) {
      work.emplace_back(
          [&, cpu] { held[cpu] = tree.tracker(cpu).PreserveRange(ranges[cpu]).ok(); });
    }
    if (!tree.Run(work)) return;
    uint64_t frames = 0;
    for (unsigned cpu = 0; cpu < ranges.size(); ++cpu) {
      if (held[cpu]) frames += ranges[cpu].size / kPageSize;
    }
    uint64_t found = 0;
    for (const auto& [number, order] : tree.blocks()) found += uint64_t{1} << order;
    tree.Expect(found == frames, "a range is preserved in part");
  });
}

TEST(TrackerInterleavingsTest, ARangeIsPreservedWholeOrNotAtAll) {
  InterleaveRanges({SmallTree::RangeOf(0, 1), SmallTree::RangeOf(0, 3)});
  InterleaveRanges({SmallTree::RangeOf(1, 3), SmallTree::RangeOf(3, 2)});
}

TEST(TrackerInterleavingsTest, AnUndoneRangeLeavesWhatOthersHave) {
  // The second order finds no page for its branch.
  for (uint64_t call = 0; call <= 2 * kBranch; ++call) {
    InterleaveRanges({SmallTree::RangeOf(1, 3), SmallTree::RangeOf(4, 1)}, {call});
    InterleaveRanges({SmallTree::RangeOf(1, 3), SmallTree::RangeOf(1, 1)}, {call});
  }
}

TEST(TrackerInterleavingsTest, ARangeIsUnpreservedWholeOrNotAtAll) {
  ForEach([](Interleavings& run) {
    SmallTree tree(run);
    tree.Begin({{1, 0}, {2, 1}, {4, 0}});
    bool all = false, part = false;
    if (!tree.Run({[&] { all = tree.tracker(0).UnpreserveRange(SmallTree::RangeOf(1, 4)).ok(); },
                   [&] { part = tree.tracker(1).Unpreserve(SmallTree::BlockOf(4)).ok(); }})) {
      return;
    }
    tree.Expect(all != part, "both or none unpreserved the last block");
    const Blocks left = all ? Blocks{} : Blocks{{1, 0}, {2, 1}};
    tree.Expect(tree.blocks() == left, "what is left is not what was not unpreserved");
  });
}

/// Interleaves a CPU that writes to a block and then does `first` with one that does `second` and,
/// if that is done, reads and writes it. The tree has the leaf already.
void HandOverContent(bool is_preserved, const std::function<bool(Tracker&)>& first,
                     const std::function<bool(Tracker&)>& second) {
  ForEach([&](Interleavings& run) {
    SmallTree tree(run);
    tree.Begin(is_preserved ? Blocks{{0, 0}, {1, 0}} : Blocks{{1, 0}});
    uint64_t* content = tree.Content(0);
    *content = 0;
    bool is_read = false;
    if (!tree.Run({[&] {
                     *content = 1;
                     (void)first(tree.tracker(0));
                   },
                   [&] {
                     is_read = second(tree.tracker(1));
                     if (is_read) ++*content;
                   }})) {
      return;
    }
    tree.Expect(*content == (is_read ? 2 : 1), "the content is not that of the block");
  });
}

/// A block is handed over with its content, from whoever preserves it to whoever unpreserves it,
/// and back. It would be a race otherwise.
TEST(TrackerInterleavingsTest, ContentIsHandedOverWithItsBlock) {
  const Block block = SmallTree::BlockOf(0);
  const auto preserve = [&](Tracker& tracker) { return tracker.Preserve(block).ok(); };
  const auto unpreserve = [&](Tracker& tracker) { return tracker.Unpreserve(block).ok(); };
  const auto is_preserved = [&](Tracker& tracker) { return tracker.IsPreserved(block); };
  HandOverContent(false, preserve, unpreserve);
  HandOverContent(false, preserve, is_preserved);
  HandOverContent(true, unpreserve, preserve);
}

}  // namespace
}  // namespace khocore
