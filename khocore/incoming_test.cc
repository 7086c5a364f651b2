// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/incoming.h"

#include <gtest/gtest.h>

#include "khocore/abi/clients.h"
#include "khocore/testing/test_handover.h"

namespace khocore {
namespace {

class IncomingTest : public testing::Test {
 protected:
  IncomingTest() { AddSampleClients(handover_); }
  Result<Incoming> Open() {
    return Incoming::Open(handover_.machine.memory, Addr(handover_.root()),
                          handover_.machine.scratch, frames_);
  }

  TestHandover handover_;
  FrameTable& frames_ = handover_.machine.NewFrames();
};

TEST_F(IncomingTest, FindsClients) {
  const auto incoming = Open();
  ASSERT_OK(incoming);
  const auto metadata = incoming.value().Find("kexec-metadata");
  ASSERT_OK(metadata);
  EXPECT_EQ(metadata.value().size, sizeof(abi::KexecMetadata));
  EXPECT_EQ(*handover_.machine.At(metadata.value().begin.raw()), abi::kMetadataVersion);
  const uint64_t root_node = handover_.NodeAddress(handover_.root(), "/");
  EXPECT_ERROR(incoming.value().Find("nobody"), ErrorCode::kNotFound, root_node);
  EXPECT_EQ(incoming.value().root().address().raw(), handover_.root());
  EXPECT_EQ(incoming.value().summary().clients, 4u);
}

TEST_F(IncomingTest, EveryBlockIsRestoredOnceWithItsOrder) {
  const auto incoming = Open();
  ASSERT_OK(incoming);
  const std::vector<Block> blocks = TreeBlocks(handover_.machine, handover_.tracker.root());
  EXPECT_EQ(blocks.size(), incoming.value().summary().blocks);
  for (const Block& block : blocks) {
    const Result<Order> order = frames_.Restore(block.frame);
    ASSERT_OK(order);
    EXPECT_EQ(order.value(), block.order);
  }
  EXPECT_EQ(CountFrames(frames_, FrameState::kPreserved), 0u);
  EXPECT_EQ(CountFrames(frames_, FrameState::kAllocated), incoming.value().summary().pages);
  for (const Block& block : blocks) {
    EXPECT_ERROR(frames_.Restore(block.frame), ErrorCode::kNotPreserved, block.begin().raw());
  }
}

TEST_F(IncomingTest, GoesOnThroughGenerations) {
  // The second kernel preserves what it got in a tracker of its own, and a third one reads that.
  const auto first = Open();
  ASSERT_OK(first);
  TestMachine& machine = handover_.machine;
  Tracker tracker = Tracker::Create(machine.memory, machine.pages).value();
  for (const Block& block : TreeBlocks(machine, handover_.tracker.root())) {
    ASSERT_OK(frames_.Restore(block.frame));
    if (block.frame == handover_.outgoing.root()) continue;
    ASSERT_OK(tracker.Preserve(block));
  }
  Outgoing outgoing = Outgoing::Create(machine.memory, machine.pages, tracker).value();
  for (const char* client : {"khorig", "LUO", "memblock"}) {
    ASSERT_OK(outgoing.AddClient(client, first.value().Find(client).value()));
  }
  FrameTable& frames = machine.NewFrames();
  const auto second =
      Incoming::Open(machine.memory, outgoing.root().address(), machine.scratch, frames);
  ASSERT_OK(second);
  EXPECT_EQ(second.value().summary().blocks, first.value().summary().blocks);
  EXPECT_EQ(second.value().summary().fragments, first.value().summary().fragments);
  EXPECT_EQ(second.value().Find("khorig").value(), first.value().Find("khorig").value());
}

TEST_F(IncomingTest, FirstFindingIsTheError) {
  handover_.SetU64(handover_.root(), "/LUO", "blob-size", 0);
  handover_.SetBit(BlockAt(TestMachine::kBase, 0));
  handover_.SetBit(BlockAt(TestMachine::kBase + kPageSize, 0));
  EXPECT_ERROR(Open(), ErrorCode::kInsideScratch, TestMachine::kBase);
}

}  // namespace
}  // namespace khocore
