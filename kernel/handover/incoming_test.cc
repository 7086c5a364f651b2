// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/incoming.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernel/handover/testing/test_kernel.h"
#include "khocore/abi/clients.h"

namespace handover {
namespace {

using khocore::Block;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;

class IncomingTest : public testing::Test {
 protected:
  IncomingTest() { first_.Begin(); }

  Block Preserve(unsigned log2) {
    const Order order = Order::FromLog2(log2);
    const auto frame = first_.memory.allocator.Allocate(order);
    EXPECT_TRUE(frame.ok());
    EXPECT_TRUE(first_.outgoing.tracker().Preserve({frame.value(), order}).ok());
    return {frame.value(), order};
  }

  TestRam ram_;
  TestKernel first_{ram_};
};

TEST_F(IncomingTest, RestoresABlockWithItsOrderAlone) {
  const Block block = Preserve(3);
  const Block others[] = {Preserve(3), Preserve(3), Preserve(3)};
  TestKernel second(ram_, 2, first_.Close());
  ASSERT_OK(second.incoming.RestoreBlock(block));
  EXPECT_EQ(second.incoming.restored().blocks, 1u);
  EXPECT_EQ(second.incoming.restored().pages, 8u);
  EXPECT_EQ(CodeOf(second.incoming.RestoreBlock(block)), ErrorCode::kNotPreserved) << "twice";
  for (const unsigned i : {0u, 1u, 2u}) {
    const unsigned order = 2 * i;
    const Status status = second.incoming.RestoreBlock({others[i].frame, Order::FromLog2(order)});
    ASSERT_FALSE(status.ok()) << order;
    EXPECT_EQ(status.error().code, ErrorCode::kNotPreserved);
    EXPECT_EQ(status.error().where, others[i].begin());
    EXPECT_EQ(status.error().found, 3u);
    EXPECT_EQ(status.error().expected, order);
  }
}

TEST_F(IncomingTest, RestoresNothingButTheHeadsOfBlocks) {
  const Block block = Preserve(3);
  const auto free = first_.memory.allocator.AllocatePage();
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_FALSE(second.incoming.RestoreHead(block.frame + 1).ok());
  EXPECT_FALSE(second.incoming.RestoreHead(free.value()).ok());
  EXPECT_FALSE(second.incoming.RestoreHead(PageFrame::Containing(ram_.all.end())).ok());
  EXPECT_FALSE(second.incoming.OrderOf(block.frame + 1).ok());
  EXPECT_FALSE(second.incoming.IsUnrestored(free.value()));
  EXPECT_TRUE(second.incoming.IsUnrestored(block.frame + 7));
  const auto order = second.incoming.RestoreHead(block.frame);
  ASSERT_OK(order);
  EXPECT_EQ(order.value(), block.order);
  EXPECT_FALSE(second.incoming.IsUnrestored(block.frame + 7));
}

TEST_F(IncomingTest, ARangeIsWholeBlocks) {
  const auto place = first_.memory.allocator.AllocateRange(7 * kPageSize, kPageSize);
  ASSERT_OK(place);
  ASSERT_OK(first_.outgoing.tracker().PreserveRange(place.value()));
  TestKernel second(ram_, 2, first_.Close());
  const PhysAddr begin = place.value().begin;
  EXPECT_EQ(CodeOf(second.incoming.RestoreRange({begin + 8, 7 * kPageSize - 8})),
            ErrorCode::kOverlap);
  EXPECT_EQ(second.incoming.restored().pages, 7u) << "it is known at the end only";
}

TEST_F(IncomingTest, ARangeEndsAtTheEndOfItsLastPage) {
  const auto place = first_.memory.allocator.AllocateRange(7 * kPageSize, kPageSize);
  ASSERT_OK(place);
  ASSERT_OK(first_.outgoing.tracker().PreserveRange(place.value()));
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_TRUE(second.incoming.RestoreRange({place.value().begin, 6 * kPageSize + 1}).ok());
  EXPECT_EQ(second.incoming.restored().pages, 7u);
}

TEST_F(IncomingTest, ARangeBeyondWhatWasPreservedIsNotRestored) {
  const Block block = Preserve(2);
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_EQ(CodeOf(second.incoming.RestoreRange({block.begin(), block.bytes() + 1})),
            ErrorCode::kNotPreserved);
  TestKernel third(ram_);
  EXPECT_EQ(CodeOf(third.incoming.RestoreRange({PhysAddr::FromRaw(0 - kPageSize), kPageSize})),
            ErrorCode::kOutsideRam);
}

TEST_F(IncomingTest, FreesAtReleaseWhatWasRestoredForIt) {
  const Block page = Preserve(0);
  const Block large = Preserve(1);
  TestKernel second(ram_, 2, first_.Close());
  const uint64_t free = second.memory.allocator.free_pages();
  ASSERT_OK(second.incoming.RestoreForRelease(page.begin()));
  EXPECT_EQ(CodeOf(second.incoming.RestoreForRelease(large.begin())), ErrorCode::kNotPreserved)
      << "a page is freed, and nothing larger";
  EXPECT_EQ(second.memory.allocator.free_pages(), free);
  second.incoming.Release();
  EXPECT_EQ(second.memory.allocator.free_pages(), free + 1);
  second.incoming.Release();
  EXPECT_EQ(second.memory.allocator.free_pages(), free + 1);
}

TEST_F(IncomingTest, HasRoomForAllThatIsReleased) {
  std::vector<Block> pages;
  for (size_t i = 0; i <= Incoming::kMaxReleased; ++i) pages.push_back(Preserve(0));
  TestKernel second(ram_, 2, first_.Close());
  for (size_t i = 0; i < Incoming::kMaxReleased; ++i) {
    EXPECT_TRUE(second.incoming.RestoreForRelease(pages[i].begin()).ok()) << i;
  }
  EXPECT_EQ(CodeOf(second.incoming.RestoreForRelease(pages.back().begin())), ErrorCode::kNoSpace);
  EXPECT_TRUE(second.incoming.IsUnrestored(pages.back().frame));
}

TEST_F(IncomingTest, ALinkIsBelowTheKhorigFragmentWhosePageIsTakenOnce) {
  const Block one = Preserve(0);
  const Block two = Preserve(0);
  ASSERT_OK(first_.outgoing.AddLink("one", {one.begin(), 5}));
  ASSERT_OK(first_.outgoing.AddLink("two", {two.begin(), kPageSize}));
  TestKernel second(ram_, 2, first_.Close());
  const auto found = second.incoming.FindLink("one");
  ASSERT_OK(found);
  EXPECT_EQ(found.value(), (PhysRange{one.begin(), 5}));
  EXPECT_TRUE(second.incoming.FindLink("two").ok());
  EXPECT_EQ(second.incoming.FindLink("three").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(second.incoming.restored().blocks, 1u);
}

TEST_F(IncomingTest, NoKhorigFragmentIsNoLink) {
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_EQ(second.incoming.FindLink("one").error().code, ErrorCode::kNotFound);
}

TEST_F(IncomingTest, ABlobThatIsNoFragmentIsNotOpened) {
  const Block page = Preserve(0);
  ASSERT_OK(first_.outgoing.AddClient(khocore::abi::kKhorigClient, {page.begin(), 64}));
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_FALSE(second.incoming.FindLink("one").ok());
  EXPECT_TRUE(second.incoming.IsUnrestored(page.frame));
}

TEST_F(IncomingTest, OpensAFragmentOfItsFormatAlone) {
  const auto nothing = [](khocore::FragmentWriter&) {};
  const PhysRange blob = first_.WriteFragment("one-v1", nothing);
  TestKernel second(ram_, 2, first_.Close());
  for (const char* other : {"one-v2", "one-v", "one-v1-more", ""}) {
    EXPECT_ERROR(second.incoming.RestoreFragment(blob, other), ErrorCode::kCompatibleMismatch,
                 blob.begin.raw());
  }
  EXPECT_TRUE(second.incoming.IsUnrestored(PageFrame::Containing(blob.begin)));
  EXPECT_TRUE(second.incoming.RestoreFragment(blob, "one-v1").ok());
  EXPECT_FALSE(second.incoming.IsUnrestored(PageFrame::Containing(blob.begin)));
}

TEST_F(IncomingTest, VisitsEachBlockThatNobodyRestored) {
  const std::vector<Block> blocks = {Preserve(0), Preserve(5), Preserve(2)};
  TestKernel second(ram_, 2, first_.Close());
  ASSERT_OK(second.incoming.RestoreBlock(blocks[1]));
  ASSERT_OK(second.incoming.RestoreForRelease(second.incoming.root().address()));
  std::vector<Block> seen;
  ASSERT_OK(second.incoming.ForEachUnrestored([&](Block block) -> Status {
    seen.push_back(block);
    return Ok{};
  }));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_LT(seen[0].frame, seen[1].frame);
  for (const Block block : seen) EXPECT_TRUE(block == blocks[0] || block == blocks[2]);
}

}  // namespace
}  // namespace handover
