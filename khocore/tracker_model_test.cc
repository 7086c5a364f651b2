// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <utility>

#include "khocore/testing/test_machine.h"
#include "khocore/tracker.h"

namespace khocore {
namespace {

/// A block as (order, address), so that a set has the order of the keys backwards in the first
/// part.
using Entry = std::pair<unsigned, uint64_t>;

/// Random operations on a tracker and on a set, which must agree at every step.
class TrackerModelTest : public testing::TestWithParam<uint32_t> {
 protected:
  static constexpr unsigned kLargestOrder = 12;

  Entry RandomBlock() {
    const unsigned order = static_cast<unsigned>(random_() % (kLargestOrder + 1));
    const uint64_t size = kPageSize << order;
    // Few places, so that blocks meet: on each other, on other orders, at both ends of RAM.
    const uint64_t slots = TestMachine::kSize / size;
    const uint64_t slot = random_() % std::min<uint64_t>(slots, 64);
    const uint64_t index = random_() % 2 == 0 ? slot : slots - 1 - slot;
    return {order, TestMachine::kBase + index * size};
  }

  void Preserve(Entry entry) {
    const Status status = tracker_.Preserve(BlockAt(entry.second, entry.first));
    if (model_.insert(entry).second) {
      ASSERT_OK(status);
    } else {
      EXPECT_ERROR(status, ErrorCode::kAlreadyPreserved, entry.second);
    }
  }

  void Unpreserve(Entry entry) {
    const Status status = tracker_.Unpreserve(BlockAt(entry.second, entry.first));
    if (model_.erase(entry) == 1) {
      ASSERT_OK(status);
    } else {
      EXPECT_ERROR(status, ErrorCode::kNotPreserved, entry.second);
    }
  }

  /// The largest aligned blocks, front to back, found by trying instead of counting bits.
  static std::vector<Entry> Split(uint64_t begin, uint64_t size) {
    std::vector<Entry> blocks;
    while (size != 0) {
      unsigned order = kMaxOrder;
      while ((kPageSize << order) > size || begin % (kPageSize << order) != 0) --order;
      blocks.emplace_back(order, begin);
      begin += kPageSize << order;
      size -= kPageSize << order;
    }
    return blocks;
  }

  void Range(bool preserve) {
    const uint64_t pages = random_() % 300;
    const uint64_t begin = TestMachine::kBase + random_() % 512 * kPageSize;
    const std::vector<Entry> blocks = Split(begin, pages * kPageSize);
    const auto known = [&](Entry entry) { return model_.count(entry) != 0; };
    const PhysRange range{Addr(begin), pages * kPageSize};
    if (preserve) {
      const bool clash = std::any_of(blocks.begin(), blocks.end(), known);
      EXPECT_EQ(tracker_.PreserveRange(range).ok(), !clash);
      if (!clash) model_.insert(blocks.begin(), blocks.end());
    } else {
      const bool all = std::all_of(blocks.begin(), blocks.end(), known);
      EXPECT_EQ(tracker_.UnpreserveRange(range).ok(), all);
      if (all) {
        for (const Entry& entry : blocks) model_.erase(entry);
      }
    }
  }

  void Compare() {
    // Keys of higher orders are smaller; within an order they grow with the address.
    std::vector<Block> want;
    uint64_t pages = 0;
    for (unsigned order = kMaxOrder + 1; order-- > 0;) {
      for (auto at = model_.lower_bound({order, 0}); at != model_.end() && at->first == order;
           ++at) {
        want.push_back(BlockAt(at->second, order));
        pages += uint64_t{1} << order;
      }
    }
    ASSERT_EQ(TreeBlocks(machine_, tracker_.root()), want);
    ASSERT_EQ(tracker_.block_count(), want.size());
    ASSERT_EQ(tracker_.page_count(), pages);
    ASSERT_EQ(TreePages(machine_, tracker_.root()).size(), tracker_.node_count());
    for (int i = 0; i < 50; ++i) {
      const Entry entry = RandomBlock();
      ASSERT_EQ(tracker_.IsPreserved(BlockAt(entry.second, entry.first)), model_.count(entry) != 0);
    }
  }

  std::mt19937 random_{GetParam()};
  TestMachine machine_;
  Tracker tracker_ = Tracker::Create(machine_.memory, machine_.pages).value();
  std::set<Entry> model_;
};

TEST_P(TrackerModelTest, AgreesWithASet) {
  for (int step = 0; step < 6000 && !HasFatalFailure(); ++step) {
    switch (random_() % 8) {
      case 0:
        Range(true);
        break;
      case 1:
        Range(false);
        break;
      case 2:
      case 3:
      case 4:
        Preserve(RandomBlock());
        break;
      default:
        Unpreserve(RandomBlock());
        break;
    }
    // Taking back what is there, for misses are the rule above.
    if (!model_.empty() && random_() % 4 == 0) {
      auto at = model_.lower_bound(RandomBlock());
      Unpreserve(at == model_.end() ? *model_.begin() : *at);
    }
    if (step % 200 == 0) Compare();
  }
  Compare();
  const std::set<Entry> rest = model_;
  for (const Entry& entry : rest) Unpreserve(entry);
  Compare();
  tracker_.Destroy();
  EXPECT_TRUE(machine_.pages.out().empty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, TrackerModelTest, testing::Range(1u, 9u));

}  // namespace
}  // namespace khocore
