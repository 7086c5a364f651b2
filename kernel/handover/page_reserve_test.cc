// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/page_reserve.h"

#include <gtest/gtest.h>

#include "khocore/testing/test_machine.h"

namespace handover {
namespace {

using khocore::ErrorCode;
using khocore::Order;
using khocore::PageFrame;
using khocore::Result;
using khocore::TestMachine;
using khocore::Tracker;

constexpr size_t kPages = 4;

class PageReserveTest : public testing::Test {
 protected:
  PageReserveTest() {
    const Result<Tracker> tracker = Tracker::Create(machine_.memory, machine_.pages);
    EXPECT_TRUE(tracker.ok());
    tracker_ = tracker.value();
  }

  TestMachine machine_;
  Tracker tracker_;
  PageReserve reserve_{machine_.pages};
};

TEST_F(PageReserveTest, WhatIsInItIsPreservedWithoutAnAllocation) {
  ASSERT_TRUE(reserve_.Fill(tracker_, kPages).ok());
  machine_.pages.FailAt(0);
  for (size_t i = 0; i < kPages; ++i) {
    const Result<PageFrame> page = reserve_.AllocatePage();
    ASSERT_TRUE(page.ok());
    EXPECT_TRUE(tracker_.Preserve({page.value(), Order()}).ok());
  }
}

TEST_F(PageReserveTest, HasNoMoreThanWasSetAside) {
  ASSERT_TRUE(reserve_.Fill(tracker_, kPages).ok());
  ASSERT_TRUE(reserve_.Fill(tracker_, 2).ok());
  for (size_t i = 0; i < kPages + 2; ++i) EXPECT_TRUE(reserve_.AllocatePage().ok());
  const Result<PageFrame> more = reserve_.AllocatePage();
  ASSERT_FALSE(more.ok()) << "a page that no client named";
  EXPECT_EQ(more.error().code, ErrorCode::kOutOfMemory);
}

TEST_F(PageReserveTest, SaysWhenItIsAskedForTooMany) {
  EXPECT_EQ(reserve_.Fill(tracker_, PageReserve::kMaxPages + 1).error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(machine_.pages.out().size(), tracker_.node_count());
  ASSERT_TRUE(reserve_.Fill(tracker_, PageReserve::kMaxPages - 1).ok());
  EXPECT_EQ(reserve_.Fill(tracker_, 2).error().code, ErrorCode::kNoSpace);
  EXPECT_TRUE(reserve_.Fill(tracker_, 1).ok());
}

TEST_F(PageReserveTest, GivesBackWhatIsLeft) {
  ASSERT_TRUE(reserve_.Fill(tracker_, kPages).ok());
  const Result<PageFrame> used = reserve_.AllocatePage();
  ASSERT_TRUE(used.ok());
  reserve_.Empty();
  EXPECT_EQ(machine_.pages.out().size(), tracker_.node_count() + 1);
  reserve_.FreePage(used.value());
  EXPECT_EQ(machine_.pages.out().size(), tracker_.node_count());
}

TEST_F(PageReserveTest, KeepsWhatItHasWhenThereIsNoMore) {
  // The first page comes, the nodes for it do not.
  machine_.pages.FailAt(1);
  EXPECT_EQ(reserve_.Fill(tracker_, kPages).error().code, ErrorCode::kOutOfMemory);
  machine_.pages.FailNever();
  reserve_.Empty();
  EXPECT_EQ(machine_.pages.out().size(), tracker_.node_count());
}

}  // namespace
}  // namespace handover
