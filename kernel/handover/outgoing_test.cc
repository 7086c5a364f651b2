// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/outgoing.h"

#include <gtest/gtest.h>

#include <string>

#include "kernel/handover/testing/test_kernel.h"
#include "khocore/abi/clients.h"

namespace handover {
namespace {

using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::PhysAddr;

PhysAddr Preserved(TestKernel& kernel) {
  return PhysAddr::FromRaw(reinterpret_cast<uint64_t>(kernel.PreservePage()));
}

TEST(Outgoing, WritesTheKhorigFragmentForItsLinksAlone) {
  TestRam ram;
  TestKernel first(ram);
  first.Begin();
  TestKernel second(ram, 2, first.Close());
  EXPECT_FALSE(second.incoming.Find(khocore::abi::kKhorigClient).ok());
  EXPECT_EQ(second.incoming.summary().blocks, 1u) << "the root";
}

TEST(Outgoing, HasRoomForItsLinks) {
  TestRam ram;
  TestKernel first(ram);
  first.Begin();
  std::string names[Outgoing::kMaxLinks + 1];
  for (size_t i = 0; i <= Outgoing::kMaxLinks; ++i) {
    names[i] = "link-" + std::to_string(i);
    const PhysAddr page = Preserved(first);
    EXPECT_EQ(CodeOf(first.outgoing.AddLink(names[i].c_str(), {page, kPageSize})),
              i < Outgoing::kMaxLinks ? ErrorCode::kCount : ErrorCode::kNoSpace);
  }
  TestKernel second(ram, 2, first.Close());
  for (size_t i = 0; i < Outgoing::kMaxLinks; ++i) {
    EXPECT_TRUE(second.incoming.FindLink(names[i].c_str()).ok()) << names[i];
  }
}

TEST(Outgoing, TheLastStepNeitherAllocatesNorGrows) {
  TestRam ram;
  TestKernel first(ram);
  first.BeginTracker(1);
  const PhysAddr page = Preserved(first);
  ASSERT_OK(first.outgoing.AddLink("link", {page, kPageSize}));
  const uint64_t free = first.memory.allocator.free_pages();
  const uint64_t nodes = first.outgoing.tracker().node_count();
  ASSERT_OK(first.outgoing.Open());
  ASSERT_OK(first.outgoing.final_pages().AllocatePage());
  EXPECT_EQ(first.memory.allocator.free_pages(), free);
  first.Close();
  EXPECT_EQ(first.memory.allocator.free_pages(), free);
  EXPECT_EQ(first.outgoing.tracker().node_count(), nodes);
}

TEST(Outgoing, AClientTakesNoPageThatItDidNotName) {
  TestRam ram;
  TestKernel first(ram);
  first.BeginTracker(1);
  ASSERT_OK(first.outgoing.Open());
  ASSERT_OK(first.outgoing.final_pages().AllocatePage());
  ASSERT_OK(first.outgoing.final_pages().AllocatePage());  // that of the khorig fragment
  ASSERT_FALSE(first.outgoing.final_pages().AllocatePage().ok());
}

TEST(Outgoing, GivesBackWhatIsLeft) {
  TestRam ram;
  TestKernel first(ram);
  first.BeginTracker(5);
  const uint64_t free = first.memory.allocator.free_pages();
  ASSERT_OK(first.outgoing.SetAside(3));
  ASSERT_OK(first.outgoing.Open());
  first.Close();
  // All but the root.
  EXPECT_EQ(first.memory.allocator.free_pages(), free + 5 + 2 - 1);
}

}  // namespace
}  // namespace handover
