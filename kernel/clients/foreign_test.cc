// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/foreign.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>
#include <vector>

#include "kernel/base/direct_map.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"

namespace clients {
namespace {

using handover::Count;
using handover::Printed;
using handover::TestKernel;
using handover::TestRam;
using khocore::Block;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysRange;

constexpr char kHostileName[] =
    "x\n@khorig {\"ev\":\"done\",\"gen\":1,\"t\":1,\"status\":\"pass\"}";

class ForeignTest : public testing::Test {
 protected:
  /// A block of the first kernel, preserved and filled.
  Block Preserved(unsigned log2, uint8_t byte) {
    const Order order = Order::FromLog2(log2);
    const auto frame = first_.memory.allocator.Allocate(order);
    EXPECT_TRUE(frame.ok());
    const Block block{frame.value(), order};
    EXPECT_TRUE(first_.outgoing.tracker().Preserve(block).ok());
    memset(base::Direct<void>(block.begin()), byte, block.bytes());
    return block;
  }

  /// Allocates the free page `target`, which is zero then.
  static void Overwrite(TestKernel& kernel, PageFrame target) {
    std::vector<PageFrame> others;
    for (;;) {
      const auto page = kernel.memory.allocator.AllocatePage();
      ASSERT_OK(page);
      if (page.value() == target) break;
      others.push_back(page.value());
    }
    for (const PageFrame page : others) kernel.memory.allocator.FreePage(page);
  }

  TestRam ram_;
  TestKernel first_{ram_};
  Foreign foreign_;
};

TEST_F(ForeignTest, HandsOnEveryBlockAndSubtreeAsTheyCame) {
  first_.Begin();
  const Block blob = Preserved(3, 1);
  const Block linked_by_nobody = Preserved(0, 2);
  ASSERT_OK(first_.outgoing.AddClient("blob", {blob.begin(), blob.bytes() - 1}));

  TestKernel second(ram_, 2, first_.Close());
  const std::string printed = Printed([&] { ASSERT_OK(foreign_.Restore(second.incoming)); });
  EXPECT_EQ(Count(printed, "\"ev\":\"client\""), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"name\":\"blob\""), 1u) << printed;
  ASSERT_OK(second.incoming.RestoreForRelease(second.incoming.root().address()));
  foreign_.Verify(second.incoming);
  EXPECT_EQ(second.incoming.passed_on.blocks, 2u);
  EXPECT_EQ(second.incoming.passed_on.pages, 9u);
  const PageFrame root = PageFrame::Containing(second.incoming.root().address());
  second.incoming.Release();
  Overwrite(second, root);
  second.Begin();
  ASSERT_OK(foreign_.Preserve(second.outgoing));
  ASSERT_OK(foreign_.Serialize(second.outgoing));

  TestKernel third(ram_, 3, second.Close());
  const auto found = third.incoming.Find("blob");
  ASSERT_OK(found);
  EXPECT_EQ(found.value(), (PhysRange{blob.begin(), blob.bytes() - 1}));
  for (const Block block : {blob, linked_by_nobody}) {
    const auto order = third.incoming.OrderOf(block.frame);
    ASSERT_OK(order);
    EXPECT_EQ(order.value(), block.order);
  }
  EXPECT_EQ(*base::Direct<uint8_t>(blob.end() + (0 - uint64_t{1})), 1);
}

TEST_F(ForeignTest, ARestoredBlobIsNotHandedOn) {
  first_.Begin();
  const Block taken = Preserved(0, 1);
  const Block other = Preserved(0, 2);
  ASSERT_OK(first_.outgoing.AddClient("taken", {taken.begin(), kPageSize}));
  ASSERT_OK(first_.outgoing.AddClient("other", {other.begin(), kPageSize}));
  TestKernel second(ram_, 2, first_.Close());
  ASSERT_OK(foreign_.Restore(second.incoming));
  ASSERT_OK(second.incoming.RestoreBlock(taken));
  second.Begin();
  ASSERT_OK(second.incoming.RestoreForRelease(second.incoming.root().address()));
  ASSERT_OK(foreign_.Preserve(second.outgoing));
  ASSERT_OK(foreign_.Serialize(second.outgoing));
  TestKernel third(ram_, 3, second.Close());
  EXPECT_TRUE(third.incoming.Find("other").ok());
  EXPECT_FALSE(third.incoming.Find("taken").ok());
  EXPECT_FALSE(third.incoming.OrderOf(taken.frame).ok());
}

TEST_F(ForeignTest, ANameIsNoEvent) {
  first_.Begin();
  const Block blob = Preserved(0, 1);
  ASSERT_OK(first_.outgoing.AddClient(kHostileName, {blob.begin(), kPageSize}));
  TestKernel second(ram_, 2, first_.Close());
  const std::string printed = Printed([&] { (void)foreign_.Restore(second.incoming); });
  EXPECT_EQ(Count(printed, "\n"), 1u) << printed;
  EXPECT_EQ(Count(printed, "\\u000a@khorig {\\\"ev"), 1u) << printed;
}

TEST_F(ForeignTest, AColdBootHandsNothingOn) {
  first_.Begin();
  EXPECT_TRUE(foreign_.Preserve(first_.outgoing).ok());
  EXPECT_TRUE(foreign_.Serialize(first_.outgoing).ok());
  TestKernel second(ram_, 2, first_.Close());
  EXPECT_EQ(second.incoming.summary().blocks, 1u);
}

}  // namespace
}  // namespace clients
