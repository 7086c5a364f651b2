// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/content.h"

#include <gtest/gtest.h>

#include "kernel/handover/testing/test_kernel.h"
#include "kernel/rig/block_entry.h"

namespace rig {
namespace {

using khocore::Block;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;

class ContentTest : public testing::Test {
 protected:
  handover::TestRam ram_;
  const PageFrame page_ = PageFrame::Containing(ram_.all.begin);
};

TEST_F(ContentTest, EveryBitCounts) {
  FillPage(page_, 1, 2, 3);
  EXPECT_TRUE(HasContent(page_, 1, 2, 3));
  auto* word = reinterpret_cast<uint64_t*>(page_.address().raw());
  for (uint64_t i = 0; i < kPageSize / 8; ++i) {
    word[i] ^= uint64_t{1} << i % 64;
    EXPECT_FALSE(HasContent(page_, 1, 2, 3)) << "word " << i;
    word[i] ^= uint64_t{1} << i % 64;
  }
  EXPECT_TRUE(HasContent(page_, 1, 2, 3));
}

TEST_F(ContentTest, DiffersBySeedOwnerAndIndex) {
  FillPage(page_, 1, 2, 3);
  EXPECT_FALSE(HasContent(page_, 2, 2, 3));
  EXPECT_FALSE(HasContent(page_, 1, 3, 3));
  EXPECT_FALSE(HasContent(page_, 1, 2, 4));
}

TEST_F(ContentTest, NumbersThePagesOfARange) {
  FillContent({page_.address(), 3 * kPageSize}, 1, 2);
  for (uint64_t i = 0; i < 3; ++i) EXPECT_TRUE(HasContent(page_ + i, 1, 2, i)) << i;
  EXPECT_FALSE(HasContent(page_ + 3, 1, 2, 3));
}

TEST(BlockEntry, ComesBack) {
  const Block block{PageFrame::FromNumber(0x7ff00), Order::FromLog2(khocore::kMaxOrder)};
  const auto decoded = DecodeBlock(EncodeBlock(block));
  ASSERT_OK(decoded);
  EXPECT_EQ(decoded.value(), block);
}

TEST(BlockEntry, AllBitsBelowAPageAreTheOrder) {
  for (const uint64_t log2 : {uint64_t{khocore::kMaxOrder} + 1, uint64_t{64}, uint64_t{256},
                              uint64_t{257}, kPageSize - 1}) {
    EXPECT_ERROR(DecodeBlock(0x1000000 | log2), ErrorCode::kOrderRange, 0x1000000 | log2);
  }
}

}  // namespace
}  // namespace rig
