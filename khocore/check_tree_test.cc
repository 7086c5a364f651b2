// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <libfdt.h>
#include <string.h>

#include "khocore/check.h"
#include "khocore/testing/test_handover.h"

namespace khocore {
namespace {

constexpr uint64_t kBase = TestMachine::kBase;
constexpr uint64_t kEnd = TestMachine::kEnd;
constexpr uint64_t kFree = TestMachine::kFree;

class CheckTreeTest : public testing::Test {
 protected:
  uint64_t RootNode() { return handover_.NodeAddress(handover_.root(), "/"); }
  void SetMap(uint64_t value) {
    handover_.SetU64(handover_.root(), "/", "preserved-memory-map", value);
  }

  TestHandover handover_;
  TestMachine& machine_ = handover_.machine;
};

TEST_F(CheckTreeTest, EmptyHandoverIsClean) {
  const CheckResult result = handover_.Check();
  EXPECT_TRUE(result.findings.empty());
  EXPECT_EQ(result.summary.blocks, 1u);  // the root page
  EXPECT_EQ(result.summary.pages, 1u);
  EXPECT_EQ(result.summary.nodes, 6u);
  EXPECT_EQ(result.summary.clients, 0u);
  EXPECT_EQ(result.summary.fragments, 1u);
  EXPECT_EQ(result.summary.fragment_depth, 1u);
}

TEST_F(CheckTreeTest, CountsBlocksOfAllOrders) {
  uint64_t pages = 1;
  for (unsigned order = 0; order <= 11; ++order) {
    handover_.Blob(order);
    pages += uint64_t{1} << order;
  }
  const CheckResult result = handover_.Check();
  EXPECT_TRUE(result.findings.empty());
  EXPECT_EQ(result.summary.blocks, 13u);
  EXPECT_EQ(result.summary.pages, pages);
  EXPECT_EQ(result.summary.nodes, handover_.tracker.node_count());
}

TEST_F(CheckTreeTest, RootAddress) {
  ExpectFinding(handover_, handover_.root() + 8, ErrorCode::kUnaligned, handover_.root() + 8);
  ExpectFinding(handover_, kEnd, ErrorCode::kOutsideRam, kEnd);
  ExpectFinding(handover_, 0, ErrorCode::kOutsideRam, 0);
  memcpy(machine_.At(kBase), machine_.At(handover_.root()), kPageSize);
  ExpectFinding(handover_, kBase, ErrorCode::kInsideScratch, kBase);
}

TEST_F(CheckTreeTest, RootHeader) {
  void* fdt = handover_.root_fdt();
  for (const uint32_t size : {39u, 4097u, 0u, 0xffffffffu}) {
    fdt_set_totalsize(fdt, size);
    EXPECT_FINDING(handover_, ErrorCode::kFdtTotalSize, handover_.root());
  }
  fdt_set_totalsize(fdt, 64);
  EXPECT_FINDING(handover_, ErrorCode::kFdtStructure, handover_.root());
  fdt_set_totalsize(fdt, kPageSize);
  fdt_set_off_dt_struct(fdt, 0xff0);
  EXPECT_FINDING(handover_, ErrorCode::kFdtStructure, handover_.root());
  fdt_set_magic(fdt, 0xd00dfeee);
  EXPECT_FINDING(handover_, ErrorCode::kFdtMagic, handover_.root());
}

TEST_F(CheckTreeTest, Compatible) {
  void* fdt = handover_.root_fdt();
  for (const char* other : {"kho-v3", "kho-v5", "kho-v", "kho-v44", ""}) {
    ASSERT_EQ(fdt_setprop_string(fdt, 0, "compatible", other), 0);
    EXPECT_FINDING(handover_, ErrorCode::kCompatibleMismatch, RootNode());
  }
  ASSERT_EQ(fdt_setprop(fdt, 0, "compatible", "kho-v4", 6), 0);  // no terminator
  EXPECT_FINDING(handover_, ErrorCode::kCompatibleMismatch, RootNode());
  ASSERT_EQ(fdt_setprop(fdt, 0, "compatible", "kho-v4\0kho-v5", 14), 0);  // a list
  EXPECT_FINDING(handover_, ErrorCode::kCompatibleMismatch, RootNode());
  ASSERT_EQ(fdt_delprop(fdt, 0, "compatible"), 0);
  EXPECT_FINDING(handover_, ErrorCode::kCompatibleMissing, RootNode());
}

TEST_F(CheckTreeTest, MapProperty) {
  void* fdt = handover_.root_fdt();
  ASSERT_EQ(fdt_setprop_u32(fdt, 0, "preserved-memory-map", 1), 0);
  EXPECT_FINDING(handover_, ErrorCode::kPropertySize, RootNode());
  ASSERT_EQ(fdt_delprop(fdt, 0, "preserved-memory-map"), 0);
  EXPECT_FINDING(handover_, ErrorCode::kMapMissing, RootNode());
}

TEST_F(CheckTreeTest, MapPointer) {
  const uint64_t map = handover_.tracker.root().address().raw();
  SetMap(0);
  EXPECT_FINDING(handover_, ErrorCode::kRadixNull, 0);
  SetMap(map + 4);
  EXPECT_FINDING(handover_, ErrorCode::kUnaligned, map + 4);
  SetMap(kEnd);
  EXPECT_FINDING(handover_, ErrorCode::kOutsideRam, kEnd);
  SetMap(~uint64_t{0} << 12);
  EXPECT_FINDING(handover_, ErrorCode::kOutsideRam, ~uint64_t{0} << 12);
  memcpy(machine_.At(kBase + kPageSize), machine_.At(map), kPageSize);
  SetMap(kBase + kPageSize);
  EXPECT_FINDING(handover_, ErrorCode::kInsideScratch, kBase + kPageSize);
  SetMap(handover_.root());
  EXPECT_FINDING(handover_, ErrorCode::kOverlap, handover_.root());
  SetMap(map);
  EXPECT_TRUE(handover_.Check().findings.empty());
}

TEST_F(CheckTreeTest, NodePointersAtEveryLevel) {
  const Block root = BlockAt(handover_.root(), 0);
  for (unsigned level = 5; level > 0; --level) {
    const uint64_t slot = handover_.SlotOf(root, level);
    const uint64_t good = machine_.ReadU64(slot);
    const auto expect = [&](uint64_t value, ErrorCode code) {
      machine_.WriteU64(slot, value);
      EXPECT_FINDING(handover_, code, value);
      machine_.WriteU64(slot, good);
    };
    expect(good + 0x10, ErrorCode::kUnaligned);
    expect(kEnd + kPageSize, ErrorCode::kOutsideRam);
    expect(kBase + 2 * kPageSize, ErrorCode::kInsideScratch);
    expect(handover_.root(), ErrorCode::kOverlap);
    expect(handover_.NodeOf(root, level), ErrorCode::kRadixCycle);
    expect(handover_.NodeOf(root, 5), ErrorCode::kRadixCycle);
  }
  EXPECT_TRUE(handover_.Check().findings.empty());
}

TEST_F(CheckTreeTest, NodeThatTwoParentsShare) {
  const PhysRange blob = handover_.Blob(9);
  const Block large{PageFrame::Containing(blob.begin), Order::FromLog2(9)};
  const Block root = BlockAt(handover_.root(), 0);
  // The leaf of order 0 also hangs in the branch of order 9, at a slot that says order 9.
  const uint64_t leaf = handover_.NodeOf(root, 0);
  machine_.WriteU64(handover_.SlotOf(large, 1) + 8, leaf);
  const CheckResult result = handover_.Check();
  // It is walked where it is met first, so its bits are blocks beyond RAM there.
  ASSERT_FALSE(result.findings.empty());
  EXPECT_EQ(result.findings.back().code, ErrorCode::kRadixCycle);
  EXPECT_EQ(result.findings.back().where.raw(), leaf);
}

TEST_F(CheckTreeTest, NodesSharedManyTimesDoNotTakeForever) {
  // Each of five tables points to the next with all its slots: 512 to the fifth ways to the leaf.
  const uint64_t at = kFree;
  for (uint64_t level = 0; level < 5; ++level) {
    for (uint64_t slot = 0; slot < 512; ++slot) {
      machine_.WriteU64(at + level * kPageSize + slot * 8, at + (level + 1) * kPageSize);
    }
  }
  SetMap(at);
  const CheckResult result = handover_.Check();
  EXPECT_EQ(result.summary.nodes, 6u);
  EXPECT_EQ(result.findings.size(), 5u * 511u);
  for (const Error& finding : result.findings) EXPECT_EQ(finding.code, ErrorCode::kRadixCycle);
}

TEST_F(CheckTreeTest, NodeInsideABlockThatIsMetBefore) {
  // Blocks of order 9 come before those of order 0, so the block is there when the node is met.
  const uint64_t leaf = handover_.NodeOf(BlockAt(handover_.root(), 0), 0);
  const uint64_t two_mib = AlignDown(leaf, uint64_t{2} << 20);
  handover_.Blob(9);
  ASSERT_NE(two_mib, AlignDown(kFree, uint64_t{2} << 20));
  handover_.SetBit(BlockAt(two_mib, 9));
  const CheckResult result = handover_.Check();
  // All nodes and the root page lie in it; the tree's own upper nodes are met before the block.
  ASSERT_FALSE(result.findings.empty());
  EXPECT_EQ(result.findings[0].code, ErrorCode::kOverlap);
  EXPECT_EQ(result.findings[0].where, handover_.tracker.root().address());
  EXPECT_EQ(result.findings[0].found, two_mib);
}

TEST_F(CheckTreeTest, NodeOnAPreservedPage) {
  // A leaf for order 0 that was copied into a block of order 3, which is met before.
  const PhysRange blob = handover_.Blob(3);
  const Block root = BlockAt(handover_.root(), 0);
  const uint64_t inside = blob.begin.raw() + 5 * kPageSize;
  memcpy(machine_.At(inside), machine_.At(handover_.NodeOf(root, 0)), kPageSize);
  machine_.WriteU64(handover_.SlotOf(root, 1), inside);
  EXPECT_FINDING(handover_, ErrorCode::kOverlap, inside);
}

TEST_F(CheckTreeTest, PreservedNode) {
  for (unsigned level = 0; level <= 5; ++level) {
    TestHandover handover;
    const uint64_t node = handover.NodeOf(BlockAt(handover.root(), 0), level);
    ASSERT_OK(handover.tracker.Preserve(BlockAt(node, 0)));
    EXPECT_FINDING(handover, ErrorCode::kOverlap, node);
  }
}

TEST_F(CheckTreeTest, NodeOnAFrameInUse) {
  const uint64_t node = handover_.NodeOf(BlockAt(handover_.root(), 0), 2);
  for (const auto& [state, code] : {std::pair{FrameState::kAllocated, ErrorCode::kOverlap},
                                    {FrameState::kNotRam, ErrorCode::kOutsideRam}}) {
    FrameTable& frames = machine_.NewFrames();
    ASSERT_OK(frames.Set(BlockAt(node, 0), state));
    const CheckResult result = handover_.CheckWith(handover_.root(), frames);
    ASSERT_EQ(result.findings.size(), 1u);
    EXPECT_EQ(result.findings[0].code, code);
    EXPECT_EQ(result.findings[0].where.raw(), node);
    EXPECT_EQ(frames.state(FrameAt(node)), state);
  }
}

TEST_F(CheckTreeTest, BlockBeyondRam) {
  for (const uint64_t address : {kEnd, kEnd + 17 * kPageSize}) {
    TestHandover handover;
    handover.SetBit(BlockAt(address, 0));
    EXPECT_FINDING(handover, ErrorCode::kOutsideRam, address);
  }
  handover_.Blob(9);
  handover_.SetBit(BlockAt(kEnd - (uint64_t{2} << 20) + (uint64_t{64} << 20), 9));
  EXPECT_FINDING(handover_, ErrorCode::kOutsideRam,
                 kEnd - (uint64_t{2} << 20) + (uint64_t{64} << 20));
}

TEST_F(CheckTreeTest, BlockOverAHoleInRam) {
  handover_.Blob(4);
  FrameTable& frames = machine_.NewFrames();
  ASSERT_OK(frames.Set(BlockAt(kFree + 9 * kPageSize, 0), FrameState::kNotRam));
  const CheckResult result = handover_.CheckWith(handover_.root(), frames);
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].code, ErrorCode::kOutsideRam);
  EXPECT_EQ(result.findings[0].where.raw(), kFree + 9 * kPageSize);
  EXPECT_EQ(result.findings[0].found, kFree);
}

TEST_F(CheckTreeTest, BlockInScratch) {
  handover_.SetBit(BlockAt(kBase + 7 * kPageSize, 0));
  EXPECT_FINDING(handover_, ErrorCode::kInsideScratch, kBase + 7 * kPageSize);
}

TEST_F(CheckTreeTest, BlockThatReachesIntoScratch) {
  // 8 MiB from the start of RAM, of which 4 MiB are scratch.
  handover_.Blob(11);
  handover_.SetBit(BlockAt(kBase, 11));
  EXPECT_FINDING(handover_, ErrorCode::kInsideScratch, kBase);
}

TEST_F(CheckTreeTest, OverlappingBlocks) {
  const uint64_t blob = handover_.Blob(3).begin.raw();
  handover_.Blob(1);
  handover_.SetBit(BlockAt(blob + 7 * kPageSize, 0));
  EXPECT_FINDING(handover_, ErrorCode::kOverlap, blob + 7 * kPageSize);
}

TEST_F(CheckTreeTest, OverlappingBlocksAtOneAddress) {
  const uint64_t blob = handover_.Blob(3).begin.raw();
  handover_.Blob(1);
  handover_.SetBit(BlockAt(blob, 1));
  EXPECT_FINDING(handover_, ErrorCode::kOverlap, blob);
}

TEST_F(CheckTreeTest, KeyWithoutAnOrder) {
  const Block root = BlockAt(handover_.root(), 0);
  // The whole branch of order 0 also hangs at slot 4 of the root: keys from 1 << 53 on.
  const uint64_t branch = machine_.ReadU64(handover_.SlotOf(root, 5));
  const uint64_t leaf = handover_.NodeOf(root, 0);
  machine_.WriteU64(handover_.SlotOf(root, 5), 0);
  machine_.WriteU64(handover_.tracker.root().address().raw() + 4 * 8, branch);
  const CheckResult above = handover_.Check();
  ASSERT_EQ(above.findings.size(), 1u);
  EXPECT_EQ(above.findings[0].code, ErrorCode::kOrderRange);
  EXPECT_EQ(above.findings[0].where.raw(), leaf);
  // And at slot 0: no order bit in the upper half, and what is left says order 34.
  machine_.WriteU64(handover_.tracker.root().address().raw() + 4 * 8, 0);
  machine_.WriteU64(handover_.tracker.root().address().raw(), branch);
  EXPECT_FINDING(handover_, ErrorCode::kOrderRange, leaf);
}

TEST_F(CheckTreeTest, RootPageThatNobodyPreserved) {
  ASSERT_OK(handover_.tracker.Unpreserve(BlockAt(handover_.root(), 0)));
  EXPECT_FINDING(handover_, ErrorCode::kBlobNotPreserved, handover_.root());
}

TEST_F(CheckTreeTest, ReportsEveryFindingUntilToldToStop) {
  for (uint64_t page = 0; page < 100; ++page)
    handover_.SetBit(BlockAt(kBase + page * kPageSize, 0));
  EXPECT_EQ(handover_.Check().findings.size(), 100u);
  uint64_t seen = 0;
  const auto stop_at_7 = [&](const Error&) { return ++seen < 7; };
  FrameTable& frames = machine_.NewFrames();
  HandoverSummary summary =
      CheckHandover(machine_.memory, Addr(handover_.root()), machine_.scratch, frames, stop_at_7);
  EXPECT_EQ(seen, 7u);
  EXPECT_EQ(summary.blocks, 0u) << "the root page's block comes after these";

  TestHandover handover;
  for (uint64_t slot = 0; slot < 20; ++slot) {  // slot 2 is in use
    if (slot != 2) handover.machine.WriteU64(handover.tracker.root().address().raw() + slot * 8, 1);
  }
  seen = 5;
  FrameTable& other = handover.machine.NewFrames();
  summary = CheckHandover(handover.machine.memory, Addr(handover.root()), handover.machine.scratch,
                          other, stop_at_7);
  EXPECT_EQ(seen, 7u);
  EXPECT_EQ(summary.nodes, 1u);
}

TEST_F(CheckTreeTest, MarksOnBothSidesOfScratchAreTakenBack) {
  // Nodes lie in the last pages; a fragment goes below an area of scratch in the middle.
  const PhysRange fragment = handover_.Fragment({});
  const PhysRange low = handover_.Blob(0, machine_.Page(fragment.begin.raw()));
  handover_.AddClient("a", {low.begin, kPageSize});
  const PhysRange middle{Addr(kBase + (uint64_t{16} << 20)), uint64_t{4} << 20};
  ASSERT_OK(machine_.scratch.Add(middle));
  ASSERT_LT(low.begin, middle.begin);
  ASSERT_LT(middle.begin, handover_.tracker.root().address());
  EXPECT_TRUE(handover_.Check().findings.empty());  // which compares the bits of scratch
}

TEST_F(CheckTreeTest, BrokenNodeEndsTheCheckAfterTheTree) {
  AddSampleClients(handover_);
  const Block root = BlockAt(handover_.root(), 0);
  machine_.WriteU64(handover_.SlotOf(root, 1), handover_.NodeOf(root, 1) + 1);
  handover_.SetU64(handover_.root(), "/LUO", "blob-size", 0);
  const CheckResult result = handover_.Check();
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].code, ErrorCode::kUnaligned);
  EXPECT_EQ(result.summary.clients, 0u);
  EXPECT_GT(result.summary.blocks, 0u);  // other branches were walked
}

}  // namespace
}  // namespace khocore
