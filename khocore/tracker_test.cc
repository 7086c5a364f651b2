// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/tracker.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kFree = TestMachine::kFree;
constexpr uint64_t kHuge = uint64_t{1} << 42;  ///< bytes of a block of order 30

class TrackerTest : public testing::Test {
 protected:
  TrackerTest() {
    const Result<Tracker> tracker = Tracker::Create(machine_.memory, machine_.pages);
    EXPECT_TRUE(tracker.ok());
    tracker_ = tracker.value();
  }
  ~TrackerTest() override {
    for (void* mapping : mappings_) munmap(mapping, 4 * kHuge);
  }

  /// RAM that may be preserved but is never touched.
  void AddUntouchableRam(uint64_t address, uint64_t size) {
    mappings_.push_back(
        mmap(nullptr, 4 * kHuge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    ASSERT_NE(mappings_.back(), MAP_FAILED);
    ASSERT_LE(size, 4 * kHuge);
    ASSERT_OK(machine_.memory.AddWindow({Addr(address), size}, mappings_.back()));
  }

  /// Follows slots from the root by their numbers; the address of the last node.
  uint64_t Follow(std::initializer_list<uint64_t> slots) {
    uint64_t node = tracker_.root().address().raw();
    for (const uint64_t slot : slots) {
      node = machine_.ReadU64(node + slot * 8);
      EXPECT_NE(node, 0u);
    }
    return node;
  }
  /// The node has exactly this one byte that is not zero.
  void ExpectOnlyByte(uint64_t node, size_t offset, uint8_t value) {
    std::string want(kPageSize, '\0');
    want[offset] = static_cast<char>(value);
    EXPECT_EQ(machine_.Page(node), want);
  }
  std::map<uint64_t, std::string> Pages() { return TreePages(machine_, tracker_.root()); }
  std::vector<Block> Blocks() { return TreeBlocks(machine_, tracker_.root()); }

  TestMachine machine_;
  Tracker tracker_;
  std::vector<void*> mappings_;
};

TEST_F(TrackerTest, StartsWithOneEmptyNode) {
  EXPECT_EQ(tracker_.node_count(), 1u);
  EXPECT_EQ(tracker_.block_count(), 0u);
  EXPECT_EQ(tracker_.page_count(), 0u);
  EXPECT_EQ(machine_.Page(tracker_.root().address().raw()), std::string(kPageSize, '\0'));
  EXPECT_FALSE(tracker_.IsPreserved(BlockAt(kFree, 0)));
}

TEST_F(TrackerTest, CreateReportsItsErrors) {
  machine_.pages.FailAt(0);
  EXPECT_ERROR(Tracker::Create(machine_.memory, machine_.pages), ErrorCode::kOutOfMemory, 0u);
  TestPages outside(machine_.memory, {Addr(0x7000), kPageSize});
  EXPECT_ERROR(Tracker::Create(machine_.memory, outside), ErrorCode::kOutsideRam, 0x7000u);
  EXPECT_TRUE(outside.out().empty());
}

// The expectations of the following tests are worked out by hand from abi/radix.h.

TEST_F(TrackerTest, WritesAPageAsTheAbiSays) {
  // 0x40805000: frame 0x40805; key = 1 << 52 | 0x40805.
  // Level 5: key >> 51 = 2. Levels 4, 3, 2: 0, for bit 52 is cut off and 0x40805 < 1 << 24.
  // Level 1: 0x40805 >> 15 = 8. Bit 0x805: byte 0x100, bit 5.
  ASSERT_OK(tracker_.Preserve(BlockAt(0x40805000, 0)));
  EXPECT_EQ(tracker_.node_count(), 6u);
  ExpectOnlyByte(Follow({2, 0, 0, 0, 8}), 0x100, 0x20);
  EXPECT_EQ(machine_.ReadU64(tracker_.root().address().raw()), 0u);
}

TEST_F(TrackerTest, WritesALargeBlockAsTheAbiSays) {
  // 2 MiB at 0x40800000: order 9; key = 1 << 43 | 0x40800000 >> 21 = 1 << 43 | 0x204.
  // Level 4: (1 << 43) >> 42 = 2, all others 0. Bit 0x204: byte 0x40, bit 4.
  ASSERT_OK(tracker_.Preserve(BlockAt(0x40800000, 9)));
  ExpectOnlyByte(Follow({0, 2, 0, 0, 0}), 0x40, 0x10);
}

TEST_F(TrackerTest, WritesAHighAddressAsTheAbiSays) {
  // Frame 0xfedcba9876; key = 1 << 52 | 0xfedcba9876. Level 5: 2. Level 4: bit 52 is cut off, 0.
  // Level 3: 0xfedcba9876 >> 33 = 0x7f. Level 2: 0xfedcba9876 >> 24 = 0xfedc, & 511 = 0xdc.
  // Level 1: 0xfedcba9876 >> 15 = 0x1fdb975, & 511 = 0x175. Bit 0x1876: byte 0x30e, bit 6.
  AddUntouchableRam(0xfedcba9876000, kPageSize);
  ASSERT_OK(tracker_.Preserve(BlockAt(0xfedcba9876000, 0)));
  ExpectOnlyByte(Follow({2, 0, 0x7f, 0xdc, 0x175}), 0x30e, 0x40);
}

TEST_F(TrackerTest, WritesTheHighestPageAsTheAbiSays) {
  // A range cannot end at 2^64, so the highest page is the one before: frame 0xffffffffffffe, and
  // all bits of the key from 52 down are ones but the last. Level 5: 3, below it 511 each, and bit
  // 0x7ffe: byte 0xfff, bit 6.
  AddUntouchableRam(0xffffffffffff0000, 0xffff);
  EXPECT_ERROR(tracker_.Preserve(BlockAt(0xfffffffffffff000, 0)), ErrorCode::kOutsideRam,
               0xfffffffffffff000u);
  ASSERT_OK(tracker_.Preserve(BlockAt(0xffffffffffffe000, 0)));
  ExpectOnlyByte(Follow({3, 511, 511, 511, 511}), 0xfff, 0x40);
}

TEST_F(TrackerTest, WritesHighOrdersAsTheAbiSays) {
  AddUntouchableRam(0x100000000000, 4 * kHuge);
  // Order 19, 2 GiB, at 0x100080000000: key = 1 << 33 | 0x2001. Level 3: 1. Bit 0x2001: byte 0x400.
  ASSERT_OK(tracker_.Preserve(BlockAt(0x100080000000, 19)));
  ExpectOnlyByte(Follow({0, 0, 1, 0, 0}), 0x400, 0x02);
  // Order 30, 4 TiB, at 0x140000000000 = 5 << 42: key = 1 << 22 | 5. Level 1: 128. Byte 0, bit 5.
  ASSERT_OK(tracker_.Preserve(BlockAt(0x140000000000, 30)));
  ExpectOnlyByte(Follow({0, 0, 0, 0, 128}), 0, 0x20);
}

TEST_F(TrackerTest, TakesEveryOrder) {
  AddUntouchableRam(0x100000000000, 4 * kHuge);
  std::vector<Block> want;
  uint64_t pages = 0;
  for (unsigned order = 0; order <= kMaxOrder; ++order) {
    // Blocks of different orders at one address are different keys, as in Linux.
    const Block block = BlockAt(0x180000000000, order);
    ASSERT_OK(tracker_.Preserve(block));
    EXPECT_TRUE(tracker_.IsPreserved(block));
    pages += uint64_t{1} << order;
    want.insert(want.begin(), block);
  }
  EXPECT_EQ(Blocks(), want);
  EXPECT_EQ(tracker_.block_count(), 31u);
  EXPECT_EQ(tracker_.page_count(), pages);
  for (unsigned order = 0; order <= kMaxOrder; ++order) {
    ASSERT_OK(tracker_.Unpreserve(BlockAt(0x180000000000, order)));
  }
  EXPECT_TRUE(Blocks().empty());
  EXPECT_EQ(tracker_.page_count(), 0u);
}

TEST_F(TrackerTest, RefusesMalformedBlocks) {
  const auto before = Pages();
  const Block far{PageFrame::FromNumber((uint64_t{1} << 52) + kFree / kPageSize), Order()};
  EXPECT_ERROR(tracker_.Preserve(BlockAt(kFree, 31)), ErrorCode::kOrderRange, kFree);
  EXPECT_ERROR(tracker_.Preserve(BlockAt(kFree, 255)), ErrorCode::kOrderRange, kFree);
  EXPECT_ERROR(tracker_.Preserve(BlockAt(kFree + kPageSize, 1)), ErrorCode::kUnaligned,
               kFree + kPageSize);
  EXPECT_ERROR(tracker_.Preserve(BlockAt(0x1000, 0)), ErrorCode::kOutsideRam, 0x1000u);
  EXPECT_ERROR(tracker_.Preserve(BlockAt(TestMachine::kBase, 14)), ErrorCode::kOutsideRam,
               TestMachine::kBase);
  EXPECT_ERROR(tracker_.Preserve(far), ErrorCode::kOutsideRam, far.begin().raw());
  EXPECT_FALSE(tracker_.IsPreserved(BlockAt(kFree, 31)));
  EXPECT_FALSE(tracker_.IsPreserved(BlockAt(kFree + kPageSize, 1)));
  EXPECT_FALSE(tracker_.IsPreserved(far));
  EXPECT_ERROR(tracker_.Unpreserve(BlockAt(kFree, 31)), ErrorCode::kOrderRange, kFree);
  EXPECT_ERROR(tracker_.Unpreserve(BlockAt(kFree + kPageSize, 1)), ErrorCode::kUnaligned,
               kFree + kPageSize);
  EXPECT_ERROR(tracker_.Unpreserve(far), ErrorCode::kNotPreserved, far.begin().raw());
  EXPECT_EQ(Pages(), before);
}

TEST_F(TrackerTest, RefusesTheSameBlockTwice) {
  ASSERT_OK(tracker_.Preserve(BlockAt(kFree, 3)));
  const auto before = Pages();
  EXPECT_ERROR(tracker_.Preserve(BlockAt(kFree, 3)), ErrorCode::kAlreadyPreserved, kFree);
  EXPECT_EQ(Pages(), before);
  EXPECT_EQ(tracker_.block_count(), 1u);
  EXPECT_EQ(tracker_.page_count(), 8u);
}

TEST_F(TrackerTest, BlocksBesideThePreviousOneAreJudgedAsAnyOther) {
  // The previous block has the same leaf, and lies in the last window with room behind it.
  constexpr uint64_t kSmall = uint64_t{1} << 40;
  AddUntouchableRam(kSmall, 5 * kPageSize);
  const auto expect = [&](uint64_t address, unsigned order, ErrorCode code) {
    EXPECT_ERROR(tracker_.Preserve(BlockAt(address, order)), code, address);
  };
  for (const unsigned order : {0u, 1u, 2u}) {
    SCOPED_TRACE(order);
    const uint64_t bytes = kPageSize << order;
    ASSERT_OK(tracker_.Preserve(BlockAt(kSmall, order)));
    expect(kSmall, order, ErrorCode::kAlreadyPreserved);
    expect(kSmall - bytes, order, ErrorCode::kOutsideRam);
    expect(kSmall + 8 * kPageSize, order, ErrorCode::kOutsideRam);
    if (order > 0) expect(kSmall + kPageSize, order, ErrorCode::kUnaligned);
    if (order > 0) expect(kSmall + 4 * kPageSize, order, ErrorCode::kOutsideRam);  // its end
    if (order > 0) continue;
    ASSERT_OK(tracker_.Preserve(BlockAt(kSmall + 4 * kPageSize, order)));
    expect(kSmall + 5 * kPageSize, order, ErrorCode::kOutsideRam);
  }
  EXPECT_EQ(Blocks().size(), 4u);
  EXPECT_EQ(tracker_.block_count(), 4u);
  EXPECT_EQ(tracker_.page_count(), 8u);
}

TEST_F(TrackerTest, UnpreserveIsExact) {
  ASSERT_OK(tracker_.Preserve(BlockAt(kFree, 3)));
  const auto before = Pages();
  EXPECT_ERROR(tracker_.Unpreserve(BlockAt(kFree, 2)), ErrorCode::kNotPreserved, kFree);
  EXPECT_ERROR(tracker_.Unpreserve(BlockAt(kFree + 8 * kPageSize, 3)), ErrorCode::kNotPreserved,
               kFree + 8 * kPageSize);
  EXPECT_EQ(Pages(), before);
  ASSERT_OK(tracker_.Preserve(BlockAt(kFree + 8 * kPageSize, 3)));
  ASSERT_OK(tracker_.Unpreserve(BlockAt(kFree + 8 * kPageSize, 3)));
  EXPECT_EQ(Pages(), before);
  EXPECT_ERROR(tracker_.Unpreserve(BlockAt(kFree + 8 * kPageSize, 3)), ErrorCode::kNotPreserved,
               kFree + 8 * kPageSize);
}

TEST_F(TrackerTest, FailedAllocationLeavesTheTreeAsItWas) {
  // Each of these needs another number of nodes: all five, one leaf of the same kind, all but the
  // root of another order, none.
  AddUntouchableRam(0x100000000000, kHuge);
  const Block kBlocks[] = {BlockAt(kFree, 0), BlockAt(0x100008000000, 0), BlockAt(kFree, 9),
                           BlockAt(kFree + kPageSize, 0), BlockAt(0x100000000000, 30)};
  uint64_t failures = 0;
  for (const Block& block : kBlocks) {
    const auto pages_before = Pages();
    const auto out_before = machine_.pages.out();
    const uint64_t nodes_before = tracker_.node_count();
    const uint64_t blocks_before = tracker_.block_count();
    for (uint64_t call = 0;; ++call) {
      machine_.pages.FailAt(call);
      const Status status = tracker_.Preserve(block);
      machine_.pages.FailNever();
      if (status.ok()) {
        EXPECT_EQ(machine_.pages.out().size(), out_before.size() + call);
        EXPECT_EQ(tracker_.node_count(), nodes_before + call);
        break;
      }
      ++failures;
      EXPECT_EQ(status.error().code, ErrorCode::kOutOfMemory);
      EXPECT_EQ(Pages(), pages_before);
      EXPECT_EQ(machine_.pages.out(), out_before);
      EXPECT_EQ(tracker_.node_count(), nodes_before);
      EXPECT_EQ(tracker_.block_count(), blocks_before);
      EXPECT_FALSE(tracker_.IsPreserved(block));
    }
  }
  EXPECT_GE(failures, 5u + 3u + 4u);
  EXPECT_EQ(tracker_.block_count(), 5u);
}

TEST_F(TrackerTest, MakesRoomSoThatPreservingAllocatesNothing) {
  ASSERT_OK(tracker_.MakeRoom(BlockAt(kFree, 0)));
  EXPECT_EQ(tracker_.node_count(), 6u);
  EXPECT_EQ(tracker_.block_count(), 0u);
  EXPECT_FALSE(tracker_.IsPreserved(BlockAt(kFree, 0)));
  machine_.pages.FailAt(0);
  ASSERT_OK(tracker_.MakeRoom(BlockAt(kFree + kPageSize, 0)));
  ASSERT_OK(tracker_.Preserve(BlockAt(kFree, 0)));
  EXPECT_EQ(tracker_.node_count(), 6u);
  EXPECT_EQ(Blocks().size(), 1u);
  EXPECT_ERROR(tracker_.MakeRoom(BlockAt(kFree, 9)), ErrorCode::kOutOfMemory, 0u);
  EXPECT_ERROR(tracker_.MakeRoom(BlockAt(kFree + kPageSize, 1)), ErrorCode::kUnaligned,
               kFree + kPageSize);
  EXPECT_ERROR(tracker_.MakeRoom(BlockAt(0, 0)), ErrorCode::kOutsideRam, 0u);
}

TEST_F(TrackerTest, NodeOutsideRamLeavesTheTreeAsItWas) {
  // The source has two good pages, then one that is not RAM.
  TestPages source(machine_.memory, {Addr(TestMachine::kEnd - 2 * kPageSize), 3 * kPageSize});
  Result<Tracker> created = Tracker::Create(machine_.memory, source);
  ASSERT_OK(created);
  Tracker tracker = created.value();
  const auto before = TreePages(machine_, tracker.root());
  EXPECT_ERROR(tracker.Preserve(BlockAt(kFree, 0)), ErrorCode::kOutsideRam, TestMachine::kEnd);
  EXPECT_EQ(TreePages(machine_, tracker.root()), before);
  EXPECT_EQ(source.out().size(), 1u);
}

TEST_F(TrackerTest, DestroyGivesEveryPageBack) {
  AddUntouchableRam(0x100000000000, kHuge);
  ASSERT_OK(tracker_.PreserveRange({Addr(kFree + 0x3000), 0x9a000}));
  ASSERT_OK(tracker_.Preserve(BlockAt(0x100000000000, 19)));
  EXPECT_EQ(machine_.pages.out().size(), tracker_.node_count());
  tracker_.Destroy();
  EXPECT_TRUE(machine_.pages.out().empty());
}

TEST_F(TrackerTest, RangeSplitsIntoTheFewestAlignedBlocks) {
  // 14 pages from frame 1 of a 16-page boundary: 1, 2, 4, then 4, 2, 1 pages.
  const uint64_t at = kFree + kPageSize;
  ASSERT_OK(tracker_.PreserveRange({Addr(at), 14 * kPageSize}));
  EXPECT_EQ(Blocks(), (std::vector<Block>{
                          BlockAt(kFree + 4 * kPageSize, 2), BlockAt(kFree + 8 * kPageSize, 2),
                          BlockAt(kFree + 2 * kPageSize, 1), BlockAt(kFree + 12 * kPageSize, 1),
                          BlockAt(kFree + 1 * kPageSize, 0), BlockAt(kFree + 14 * kPageSize, 0)}));
  EXPECT_EQ(tracker_.page_count(), 14u);
  ASSERT_OK(tracker_.UnpreserveRange({Addr(at), 14 * kPageSize}));
  EXPECT_TRUE(Blocks().empty());
  EXPECT_EQ(tracker_.page_count(), 0u);
}

TEST_F(TrackerTest, RangeAtAddressZeroAndAboveTheHighestOrder) {
  AddUntouchableRam(0, uint64_t{1} << 20);
  ASSERT_OK(tracker_.PreserveRange({Addr(0), 5 * kPageSize}));
  EXPECT_EQ(Blocks(), (std::vector<Block>{BlockAt(0, 2), BlockAt(4 * kPageSize, 0)}));
  AddUntouchableRam(0x100000000000, 4 * kHuge);
  ASSERT_OK(tracker_.PreserveRange({Addr(0x100000000000), 2 * kHuge}));
  EXPECT_TRUE(tracker_.IsPreserved(BlockAt(0x100000000000, 30)));
  EXPECT_TRUE(tracker_.IsPreserved(BlockAt(0x100000000000 + kHuge, 30)));
  EXPECT_EQ(tracker_.block_count(), 4u);
  ASSERT_OK(tracker_.PreserveRange({Addr(kFree), 0}));
  EXPECT_EQ(tracker_.block_count(), 4u);
}

TEST_F(TrackerTest, RangeErrors) {
  const auto before = Blocks();
  EXPECT_ERROR(tracker_.PreserveRange({Addr(kFree + 1), kPageSize}), ErrorCode::kUnaligned,
               kFree + 1);
  EXPECT_ERROR(tracker_.PreserveRange({Addr(kFree), 1}), ErrorCode::kUnaligned, kFree);
  EXPECT_ERROR(tracker_.PreserveRange({Addr(kFree), ~uint64_t{0xfff}}), ErrorCode::kOutsideRam,
               kFree);
  // Front to back, so the first block beyond RAM is named, and the ones before are taken back.
  const uint64_t last = TestMachine::kEnd - kPageSize;
  EXPECT_ERROR(tracker_.PreserveRange({Addr(last), 2 * kPageSize}), ErrorCode::kOutsideRam,
               TestMachine::kEnd);
  EXPECT_EQ(Blocks(), before);
  EXPECT_ERROR(tracker_.UnpreserveRange({Addr(kFree), 1}), ErrorCode::kUnaligned, kFree);
  EXPECT_ERROR(tracker_.UnpreserveRange({Addr(kFree), ~uint64_t{0xfff}}), ErrorCode::kOutsideRam,
               kFree);
}

TEST_F(TrackerTest, RangeThatMeetsAPreservedBlockIsTakenBack) {
  ASSERT_OK(tracker_.Preserve(BlockAt(kFree + 12 * kPageSize, 1)));
  const auto before = Blocks();
  EXPECT_ERROR(tracker_.PreserveRange({Addr(kFree + kPageSize), 14 * kPageSize}),
               ErrorCode::kAlreadyPreserved, kFree + 12 * kPageSize);
  EXPECT_EQ(Blocks(), before);
  EXPECT_EQ(tracker_.page_count(), 2u);
}

TEST_F(TrackerTest, UnpreserveRangeChangesNothingOnError) {
  ASSERT_OK(tracker_.PreserveRange({Addr(kFree + kPageSize), 14 * kPageSize}));
  ASSERT_OK(tracker_.Unpreserve(BlockAt(kFree + 14 * kPageSize, 0)));
  const auto before = Pages();
  EXPECT_ERROR(tracker_.UnpreserveRange({Addr(kFree + kPageSize), 14 * kPageSize}),
               ErrorCode::kNotPreserved, kFree + 14 * kPageSize);
  // The same pages, cut otherwise.
  EXPECT_ERROR(tracker_.UnpreserveRange({Addr(kFree + 2 * kPageSize), 4 * kPageSize}),
               ErrorCode::kNotPreserved, kFree + 4 * kPageSize);
  EXPECT_EQ(Pages(), before);
}

TEST(TrackerRangeTest, FailedAllocationLeavesNoBlock) {
  // Blocks of orders 0 to 7, which all have nodes of their own.
  const PhysRange range{Addr(kFree + kPageSize), 0xff000};
  for (uint64_t call = 0;; ++call) {
    TestMachine machine;
    const Result<Tracker> created = Tracker::Create(machine.memory, machine.pages);
    ASSERT_OK(created);
    Tracker tracker = created.value();
    ASSERT_OK(tracker.Preserve(BlockAt(kFree + 0x200000, 9)));
    const auto before = TreeBlocks(machine, tracker.root());
    machine.pages.FailAt(call);
    const Status status = tracker.PreserveRange(range);
    if (status.ok()) {
      EXPECT_GE(call, 8u);
      return;
    }
    EXPECT_EQ(status.error().code, ErrorCode::kOutOfMemory);
    EXPECT_EQ(TreeBlocks(machine, tracker.root()), before);
    EXPECT_EQ(tracker.block_count(), 1u);
    EXPECT_EQ(tracker.page_count(), 512u);
    EXPECT_EQ(machine.pages.out().size(), tracker.node_count());
    machine.pages.FailNever();
    ASSERT_OK(tracker.PreserveRange(range));
    EXPECT_EQ(tracker.page_count(), 512u + 255u);
  }
}

}  // namespace
}  // namespace khocore
