// SPDX-License-Identifier: BSD-3-Clause
//
// A handover at the page size that the library was built for. The numbers are put together here
// from the page shift, not taken from `abi/geometry.h`.
#include "khocore/abi/geometry.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <vector>

#include "khocore/abi/kho_test.h"
#include "khocore/abi/vmalloc.h"
#include "khocore/incoming.h"
#include "khocore/testing/test_handover.h"
#include "khocore/vmalloc.h"

namespace khocore {
namespace {

constexpr unsigned kShift = KHOCORE_PAGE_SHIFT;
constexpr uint64_t kPage = uint64_t{1} << kShift;
static_assert(kPageSize == kPage);
static_assert(abi::kKhoTestOrderMask == kPage - 1);

/// The levels of the tree at 4, 16 and 64 KiB.
constexpr unsigned kLevels = kShift == 12 ? 6 : kShift == 14 ? 5 : 4;

/// Whether the bit of `block` is set in the tree at `root`, every step by the letter of the ABI.
bool IsInTree(TestMachine& machine, uint64_t root, uint64_t address, unsigned order) {
  const uint64_t key = uint64_t{1} << (64 - kShift - order) | address >> (kShift + order);
  uint64_t node = root;
  for (unsigned level = kLevels - 1; level > 0; --level) {
    const unsigned shift = (level - 1) * (kShift - 3) + kShift + 3;
    node = machine.ReadU64(node + (key >> shift) % (kPage / 8) * 8);
    if (node == 0) return false;
  }
  const uint64_t bit = key % (kPage * 8);
  return (*machine.At(node + bit / 8) >> bit % 8 & 1) != 0;
}

TEST(Geometry, EveryOrderIsFoundByTheLetterOfTheAbi) {
  TestMachine machine;
  Tracker tracker = Tracker::Create(machine.memory, machine.pages).value();
  const uint64_t root = tracker.root().address().raw();
  std::vector<Block> blocks;
  for (unsigned order = 0; TestMachine::kFree + (kPage << order) <= TestMachine::kPages; ++order) {
    const uint64_t address = AlignUp(TestMachine::kFree, kPage << order);
    if (address + (kPage << order) > TestMachine::kPages) break;
    EXPECT_FALSE(IsInTree(machine, root, address, order));
    ASSERT_OK(tracker.Preserve(BlockAt(address, order)));
    EXPECT_TRUE(IsInTree(machine, root, address, order)) << order;
    EXPECT_TRUE(tracker.IsPreserved(BlockAt(address, order)));
    blocks.insert(blocks.begin(), BlockAt(address, order));
  }
  EXPECT_GE(blocks.size(), 11u);
  EXPECT_EQ(TreeBlocks(machine, tracker.root()), blocks);
}

TEST(Geometry, ScratchIsAlignedToTheLargestBlockOfLinux) {
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  constexpr uint64_t kAlignment = kShift == 12 ? 4 * kMiB : kShift == 14 ? 32 * kMiB : 512 * kMiB;
  Scratch scratch;
  EXPECT_ERROR(scratch.Add({Addr(kAlignment / 2), kAlignment}), ErrorCode::kScratchUnaligned,
               kAlignment / 2);
  EXPECT_ERROR(scratch.Add({Addr(kAlignment), kAlignment / 2}), ErrorCode::kScratchUnaligned,
               kAlignment);
  EXPECT_TRUE(scratch.Add({Addr(kAlignment), kAlignment}).ok());
}

TEST(Geometry, ChunksAreFullPages) {
  TestMachine machine;
  constexpr uint64_t kEntries = kPage / 8 - 1;
  std::vector<PageFrame> pages;
  for (uint64_t i = 0; i < kEntries + 1; ++i) {
    pages.push_back(FrameAt(TestMachine::kFree + i * kPage));
  }
  const auto written =
      WriteVmalloc(machine.memory, machine.pages, {pages.data(), pages.size()}, Order());
  ASSERT_OK(written);
  EXPECT_EQ(machine.pages.out().size(), 2u);
  const uint64_t second = machine.ReadU64(written.value().first);
  EXPECT_EQ(machine.ReadU64(written.value().first + kEntries * 8),
            pages[kEntries - 1].address().raw());
  EXPECT_EQ(machine.ReadU64(second), 0u);
  EXPECT_EQ(machine.ReadU64(second + 8), pages[kEntries].address().raw());
}

TEST(Geometry, FragmentsFillAPage) {
  TestHandover handover;
  FragmentWriter writer(handover.machine.memory, handover.machine.pages, handover.tracker, "x-v1");
  const std::vector<uint8_t> bytes(kPage - 256, 0xaa);
  ASSERT_OK(writer.Property("most", {bytes.data(), bytes.size()}));
  ASSERT_OK(writer.Link("link", Addr(TestMachine::kFree), kPage));
  const auto page = writer.Close();
  ASSERT_OK(page);
  const PhysRange blob{page.value().address(), kPage};
  const void* fdt = handover.machine.At(blob.begin.raw());
  EXPECT_GT(fdt_totalsize(fdt), kPage - 256);
  EXPECT_EQ(fdt_check_full(fdt, kPage), 0);
  const auto reader = FragmentReader::Open(handover.machine.memory, blob);
  ASSERT_OK(reader);
  EXPECT_EQ(reader.value().Property(FragmentReader::root(), "most").value().size, bytes.size());
}

TEST(Geometry, AHandoverIsCheckedAndTakenBack) {
  TestHandover handover;
  AddSampleClients(handover);
  const CheckResult result = handover.Check();
  EXPECT_TRUE(result.findings.empty());
  EXPECT_EQ(result.summary.nodes, handover.tracker.node_count());
  EXPECT_EQ(result.summary.pages, handover.tracker.page_count());
  EXPECT_EQ(result.summary.fragment_depth, 4u);
  FrameTable& frames = handover.machine.NewFrames();
  const auto incoming = Incoming::Open(handover.machine.memory, Addr(handover.root()),
                                       handover.machine.scratch, frames);
  ASSERT_OK(incoming);
  for (const Block& block : TreeBlocks(handover.machine, handover.tracker.root())) {
    EXPECT_EQ(frames.Restore(block.frame).value(), block.order);
  }
}

}  // namespace
}  // namespace khocore
