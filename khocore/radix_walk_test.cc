// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/radix_walk.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kNodes = TestMachine::kFree;

/// Trees laid out by hand: node i is the page `kNodes` + i.
class RadixWalkTest : public testing::Test {
 protected:
  static uint64_t Node(uint64_t index) { return kNodes + index * kPageSize; }
  void Point(uint64_t node, uint64_t slot, uint64_t to) {
    machine_.WriteU64(Node(node) + slot * 8, to);
  }
  /// Nodes 0 to 5 from the root to the leaf, along these slots of levels 5 to 1.
  void MakePath(std::initializer_list<uint64_t> slots) {
    uint64_t node = 0;
    for (const uint64_t slot : slots) {
      Point(node, slot, Node(node + 1));
      ++node;
    }
  }
  void SetBit(uint64_t node, uint64_t bit) {
    *machine_.At(Node(node) + bit / 8) |= static_cast<uint8_t>(1u << bit % 8);
  }

  Status Walk(uint64_t root) {
    nodes_.clear();
    blocks_.clear();
    const auto node = [&](PageFrame page, unsigned level) -> Status {
      nodes_.emplace_back(page.address().raw(), level);
      if (nodes_.size() == node_limit_) return Error{ErrorCode::kInsideScratch, page.address()};
      return Ok{};
    };
    const auto block = [&](Block b) -> Status {
      blocks_.push_back(b);
      if (blocks_.size() == block_limit_) return Error{ErrorCode::kOverlap, b.begin()};
      return Ok{};
    };
    if (!go_on_) return WalkRadix(machine_.memory, Addr(root), {node, block});
    const auto broken = [&](const Error& error) -> Status {
      broken_.push_back(error.code);
      return Ok{};
    };
    return WalkRadix(machine_.memory, Addr(root), {node, block}, broken);
  }

  TestMachine machine_;
  std::vector<std::pair<uint64_t, unsigned>> nodes_;
  std::vector<Block> blocks_;
  std::vector<ErrorCode> broken_;
  size_t node_limit_ = 0;
  size_t block_limit_ = 0;
  bool go_on_ = false;
};

TEST_F(RadixWalkTest, EmptyTreeIsOneNode) {
  ASSERT_OK(Walk(kNodes));
  EXPECT_EQ(nodes_, (std::vector<std::pair<uint64_t, unsigned>>{{kNodes, 5}}));
  EXPECT_TRUE(blocks_.empty());
}

TEST_F(RadixWalkTest, ReadsKeysAsTheAbiSays) {
  // Slots 2, 0, 0, 0, 8 and bit 0x805: key 1 << 52 | 8 << 15 | 0x805, that is frame 0x40805.
  MakePath({2, 0, 0, 0, 8});
  SetBit(5, 0x805);
  // Slots 0, 2, 0, 0, 0 and bit 0x204: key 1 << 43 | 0x204, order 9, 0x204 << 21 = 0x40800000.
  Point(0, 0, Node(6));
  Point(6, 2, Node(7));
  Point(7, 0, Node(8));
  Point(8, 0, Node(9));
  Point(9, 0, Node(10));
  SetBit(10, 0x204);
  // Slot 128 of level 1 and bit 5: key 1 << 22 | 5, order 30, 5 << 42.
  Point(6, 0, Node(11));
  Point(11, 0, Node(12));
  Point(12, 0, Node(13));
  Point(13, 128, Node(14));
  SetBit(14, 5);
  ASSERT_OK(Walk(kNodes));
  EXPECT_EQ(blocks_, (std::vector<Block>{BlockAt(0x140000000000, 30), BlockAt(0x40800000, 9),
                                         BlockAt(0x40805000, 0)}));
  const std::vector<std::pair<uint64_t, unsigned>> want = {
      {Node(0), 5},  {Node(6), 4}, {Node(11), 3}, {Node(12), 2}, {Node(13), 1},
      {Node(14), 0}, {Node(7), 3}, {Node(8), 2},  {Node(9), 1},  {Node(10), 0},
      {Node(1), 4},  {Node(2), 3}, {Node(3), 2},  {Node(4), 1},  {Node(5), 0}};
  EXPECT_EQ(nodes_, want);
}

TEST_F(RadixWalkTest, ReadsTheHighestKey) {
  MakePath({3, 511, 511, 511, 511});
  SetBit(5, 0x7fff);
  ASSERT_OK(Walk(kNodes));
  EXPECT_EQ(blocks_, (std::vector<Block>{BlockAt(0xfffffffffffff000, 0)}));
}

TEST_F(RadixWalkTest, FindsTheOnlyWordOfANode) {
  MakePath({2, 0, 0, 0, 0});
  for (uint64_t word = 0; word < 512; ++word) {
    SetBit(5, word * 64 + word % 64);
    ASSERT_OK(Walk(kNodes));
    ASSERT_EQ(blocks_, (std::vector<Block>{BlockAt((word * 64 + word % 64) << 12, 0)})) << word;
    machine_.WriteU64(Node(5) + word * 8, 0);
  }
  SetBit(5, 1);
  Point(4, 0, 0);
  for (uint64_t slot = 0; slot < 512; ++slot) {
    Point(4, slot, Node(5));
    ASSERT_OK(Walk(kNodes));
    ASSERT_EQ(blocks_, (std::vector<Block>{BlockAt((slot << 15 | 1) << 12, 0)})) << slot;
    Point(4, slot, 0);
  }
}

TEST_F(RadixWalkTest, RefusesANodeThatRamEndsInside) {
  MakePath({2, 0, 0, 0, 0});
  PhysicalMemory cut;
  ASSERT_OK(cut.AddWindow({Addr(kNodes), 6 * kPageSize - 8}, machine_.At(kNodes)));
  const auto node = [](PageFrame, unsigned) -> Status { return Ok{}; };
  const auto block = [](Block) -> Status { return Ok{}; };
  EXPECT_ERROR(WalkRadix(cut, Addr(kNodes), {node, block}), ErrorCode::kOutsideRam, Node(5));
}

TEST_F(RadixWalkTest, RefusesRoots) {
  EXPECT_ERROR(Walk(0), ErrorCode::kRadixNull, 0u);
  EXPECT_ERROR(Walk(kNodes + 8), ErrorCode::kUnaligned, kNodes + 8);
  EXPECT_ERROR(Walk(TestMachine::kEnd), ErrorCode::kOutsideRam, TestMachine::kEnd);
  EXPECT_ERROR(Walk(0x1000), ErrorCode::kOutsideRam, 0x1000u);
  EXPECT_ERROR(Walk(~uint64_t{0xfff}), ErrorCode::kOutsideRam, ~uint64_t{0xfff});
  EXPECT_TRUE(nodes_.empty());
}

TEST_F(RadixWalkTest, RefusesNodePointersAtEveryLevel) {
  MakePath({2, 0, 0, 0, 8});
  const uint64_t kSlots[] = {2, 0, 0, 0, 8};
  for (uint64_t node = 0; node < 5; ++node) {
    const uint64_t slot = Node(node) + kSlots[node] * 8;
    const uint64_t good = machine_.ReadU64(slot);
    machine_.WriteU64(slot, good + 1);
    EXPECT_ERROR(Walk(kNodes), ErrorCode::kUnaligned, good + 1);
    machine_.WriteU64(slot, TestMachine::kBase - kPageSize);
    EXPECT_ERROR(Walk(kNodes), ErrorCode::kOutsideRam, TestMachine::kBase - kPageSize);
    EXPECT_EQ(nodes_.size(), node + 1);
    for (uint64_t ancestor = 0; ancestor <= node; ++ancestor) {
      machine_.WriteU64(slot, Node(ancestor));
      EXPECT_ERROR(Walk(kNodes), ErrorCode::kRadixCycle, Node(ancestor));
    }
    machine_.WriteU64(slot, good);
  }
  EXPECT_TRUE(Walk(kNodes).ok());
}

TEST_F(RadixWalkTest, RefusesKeysWithoutAnOrder) {
  // No order bit at all: key 5.
  MakePath({0, 0, 0, 0, 0});
  SetBit(5, 5);
  const Status none = Walk(kNodes);
  EXPECT_ERROR(none, ErrorCode::kOrderRange, Node(5));
  EXPECT_EQ(none.error().found, 5u);
}

TEST_F(RadixWalkTest, RefusesOrder31) {
  // 1 << 21 is slot 64 of level 1: order 31.
  MakePath({0, 0, 0, 0, 64});
  SetBit(5, 0x7fff);
  const Status status = Walk(kNodes);
  EXPECT_ERROR(status, ErrorCode::kOrderRange, Node(5));
  EXPECT_EQ(status.error().found, (uint64_t{1} << 21) + 0x7fff);
}

TEST_F(RadixWalkTest, RefusesBitsAboveOrder0) {
  // Slot 4 of level 5 is bit 53.
  MakePath({4, 0, 0, 0, 0});
  SetBit(5, 0);
  const Status status = Walk(kNodes);
  EXPECT_ERROR(status, ErrorCode::kOrderRange, Node(5));
  EXPECT_EQ(status.error().found, uint64_t{1} << 53);
}

TEST_F(RadixWalkTest, CallbacksEndTheWalk) {
  MakePath({2, 0, 0, 0, 8});
  SetBit(5, 1);
  SetBit(5, 2);
  node_limit_ = 4;
  EXPECT_ERROR(Walk(kNodes), ErrorCode::kInsideScratch, Node(3));
  EXPECT_TRUE(blocks_.empty());
  node_limit_ = 0;
  block_limit_ = 1;
  EXPECT_ERROR(Walk(kNodes), ErrorCode::kOverlap, 0x40001000u);
  EXPECT_EQ(blocks_.size(), 1u);
}

TEST_F(RadixWalkTest, GoesOnBehindWhatIsBroken) {
  go_on_ = true;
  MakePath({2, 0, 0, 0, 8});
  SetBit(5, 1);
  Point(0, 1, 0x123);               // in front of the good path
  Point(4, 9, Node(2));             // a cycle beside the leaf
  Point(4, 10, TestMachine::kEnd);  // outside
  Point(0, 5, Node(20));            // a branch with a key out of range
  Point(20, 0, Node(21));
  Point(21, 0, Node(22));
  Point(22, 0, Node(23));
  Point(23, 0, Node(24));
  SetBit(24, 0);
  SetBit(24, 1);
  ASSERT_OK(Walk(kNodes));
  EXPECT_EQ(blocks_, (std::vector<Block>{BlockAt(0x40001000, 0)}));
  EXPECT_EQ(broken_, (std::vector<ErrorCode>{ErrorCode::kUnaligned, ErrorCode::kRadixCycle,
                                             ErrorCode::kOutsideRam, ErrorCode::kOrderRange,
                                             ErrorCode::kOrderRange}));
}

}  // namespace
}  // namespace khocore
