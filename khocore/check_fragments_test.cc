// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <libfdt.h>
#include <string.h>

#include <string>
#include <vector>

#include "khocore/check.h"
#include "khocore/testing/test_handover.h"

namespace khocore {
namespace {

constexpr uint64_t kBase = TestMachine::kBase;
constexpr uint64_t kEnd = TestMachine::kEnd;

class CheckFragmentsTest : public testing::Test {
 protected:
  /// Adds the client "top", a fragment with one link, "link", to `blob`. Returns the fragment.
  uint64_t AddTop(PhysRange blob) {
    const PhysRange top = handover_.Fragment({{"link", blob}});
    handover_.AddClient("top", top);
    return top.begin.raw();
  }
  /// A chain of fragments, `depth` of them, which ends in a plain blob. Returns the first.
  PhysRange Chain(unsigned depth) {
    PhysRange next = handover_.Blob(0);
    for (unsigned i = 0; i < depth; ++i) next = handover_.Fragment({{"next", next}});
    return next;
  }

  TestHandover handover_;
  TestMachine& machine_ = handover_.machine;
};

TEST_F(CheckFragmentsTest, SampleIsClean) {
  AddSampleClients(handover_);
  const CheckResult result = handover_.Check();
  EXPECT_TRUE(result.findings.empty());
  EXPECT_EQ(result.summary.clients, 4u);
  EXPECT_EQ(result.summary.fragments, 5u);  // root, memblock, khorig, stores, leaf
  EXPECT_EQ(result.summary.fragment_depth, 4u);
  EXPECT_EQ(result.summary.blocks, handover_.tracker.block_count());
  EXPECT_EQ(result.summary.pages, handover_.tracker.page_count());
  EXPECT_EQ(result.summary.nodes, handover_.tracker.node_count());
}

TEST_F(CheckFragmentsTest, ClientsMustBeLinks) {
  handover_.AddClient("a", handover_.Blob(0));
  handover_.AddClient("b", handover_.Blob(0));
  TestHandover empty;
  ASSERT_GT(fdt_add_subnode(empty.root_fdt(), 0, "nothing"), 0);
  EXPECT_FINDING(empty, ErrorCode::kDataMissing, empty.NodeAddress(empty.root(), "/nothing"));
  const uint64_t where = handover_.NodeAddress(handover_.root(), "/b");
  handover_.RemoveProperty(handover_.root(), "/b", "blob-size");
  EXPECT_FINDING(handover_, ErrorCode::kBlobSizeMissing, where);
  handover_.RemoveProperty(handover_.root(), "/b", "preserved-data");
  EXPECT_FINDING(handover_, ErrorCode::kDataMissing, where);
  EXPECT_EQ(handover_.Check().summary.clients, 2u);
}

TEST_F(CheckFragmentsTest, NodesBelowAClientMayBeAnything) {
  handover_.AddClient("a", handover_.Blob(0));
  ASSERT_GT(fdt_add_subnode(handover_.root_fdt(), handover_.NodeAt(handover_.root(), "/a"), "x"),
            0);
  EXPECT_TRUE(handover_.Check().findings.empty());
  EXPECT_EQ(handover_.Check().summary.clients, 1u);
}

TEST_F(CheckFragmentsTest, LinksMustBeWhole) {
  const uint64_t top = AddTop(handover_.Blob(2));
  const uint64_t where = handover_.NodeAddress(top, "/link");
  handover_.SetU64(top, "/link", "blob-size", 0);
  EXPECT_FINDING(handover_, ErrorCode::kBlobSizeRange, where);
  handover_.RemoveProperty(top, "/link", "blob-size");
  EXPECT_FINDING(handover_, ErrorCode::kBlobSizeMissing, where);
  handover_.RemoveProperty(top, "/link", "preserved-data");
  EXPECT_TRUE(handover_.Check().findings.empty()) << "a node with neither is no link";
}

TEST_F(CheckFragmentsTest, DataWithoutItsHalf) {
  const uint64_t top = AddTop(handover_.Blob(2));
  handover_.RemoveProperty(top, "/link", "preserved-data");
  EXPECT_FINDING(handover_, ErrorCode::kDataMissing, handover_.NodeAddress(top, "/link"));
}

TEST_F(CheckFragmentsTest, PropertyLengths) {
  for (const char* property : {"preserved-data", "blob-size"}) {
    TestHandover handover;
    handover.AddClient("a", handover.Blob(0));
    const int node = handover.NodeAt(handover.root(), "/a");
    ASSERT_EQ(fdt_setprop_u32(handover.root_fdt(), node, property, 1), 0);
    EXPECT_FINDING(handover, ErrorCode::kPropertySize, handover.NodeAddress(handover.root(), "/a"));
  }
}

TEST_F(CheckFragmentsTest, BlobMustLieInPreservedMemory) {
  handover_.Blob(0);  // after it a gap, so that the next blob has free memory in front of it
  const PhysRange blob = handover_.Blob(2);
  const PhysRange next = handover_.Blob(0);
  ASSERT_EQ(blob.end(), next.begin);
  const uint64_t top = AddTop(blob);
  const auto expect = [&](uint64_t data, uint64_t size, ErrorCode code) {
    handover_.SetU64(top, "/link", "preserved-data", data);
    handover_.SetU64(top, "/link", "blob-size", size);
    EXPECT_FINDING(handover_, code, data);
  };
  const uint64_t begin = blob.begin.raw();
  const uint64_t free = next.end().raw();
  expect(free, 1, ErrorCode::kBlobNotPreserved);
  expect(free + 123, kPageSize, ErrorCode::kBlobNotPreserved);
  expect(begin - 1, 2, ErrorCode::kBlobNotPreserved);
  expect(begin, 5 * kPageSize + 1, ErrorCode::kBlobSizeRange);
  expect(begin + 1, 5 * kPageSize, ErrorCode::kBlobSizeRange);
  expect(begin + 3 * kPageSize, 2 * kPageSize + 1, ErrorCode::kBlobSizeRange);
  expect(begin, ~uint64_t{0}, ErrorCode::kBlobSizeRange);
  expect(begin, kEnd - begin + 1, ErrorCode::kBlobSizeRange);
  expect(kEnd, 1, ErrorCode::kOutsideRam);
  expect(0, kPageSize, ErrorCode::kOutsideRam);
  expect(~uint64_t{0}, 1, ErrorCode::kOutsideRam);
  expect(kBase, kPageSize, ErrorCode::kInsideScratch);
  // Over the border of two blocks, and single bytes, are fine.
  for (const auto& [data, size] : {std::pair{begin, 5 * kPageSize},
                                   {begin + 1, 5 * kPageSize - 1},
                                   {free - 1, uint64_t{1}},
                                   {begin + 3 * kPageSize + 7, kPageSize}}) {
    handover_.SetU64(top, "/link", "preserved-data", data);
    handover_.SetU64(top, "/link", "blob-size", size);
    EXPECT_TRUE(handover_.Check().findings.empty());
  }
}

TEST_F(CheckFragmentsTest, BlobSizeRangeTellsWhatIsThere) {
  const PhysRange blob = handover_.Blob(1);
  handover_.AddClient("a", {blob.begin, 3 * kPageSize});
  const CheckResult result = handover_.Check();
  ASSERT_EQ(result.findings.size(), 1u);
  EXPECT_EQ(result.findings[0].found, 3 * kPageSize);
  EXPECT_EQ(result.findings[0].expected, 2 * kPageSize);
}

TEST_F(CheckFragmentsTest, BlobAtTheEndOfRam) {
  ASSERT_OK(handover_.tracker.Preserve(BlockAt(kEnd - kPageSize, 0)));
  handover_.AddClient("a", {Addr(kEnd - kPageSize), kPageSize + 1});
  EXPECT_FINDING(handover_, ErrorCode::kBlobSizeRange, kEnd - kPageSize);
  handover_.SetU64(handover_.root(), "/a", "blob-size", kPageSize);
  EXPECT_TRUE(handover_.Check().findings.empty());
}

TEST_F(CheckFragmentsTest, LinksAtAnyDepthOfNodes) {
  FragmentWriter writer(machine_.memory, machine_.pages, handover_.tracker, "test-v1");
  ASSERT_OK(writer.BeginNode("a"));
  ASSERT_OK(writer.PropertyU64("other", 1));
  ASSERT_OK(writer.BeginNode("b"));
  ASSERT_OK(writer.Link("link", Addr(kEnd), 1));
  ASSERT_OK(writer.EndNode());
  ASSERT_OK(writer.Link("second", Addr(kEnd + kPageSize), 1));
  ASSERT_OK(writer.EndNode());
  ASSERT_OK(writer.Link("third", Addr(kEnd + 2 * kPageSize), 1));
  const auto page = writer.Close();
  ASSERT_OK(page);
  handover_.AddClient("top", {page.value().address(), kPageSize});
  const CheckResult result = handover_.Check();
  ASSERT_EQ(result.findings.size(), 3u);
  for (uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(result.findings[i].code, ErrorCode::kOutsideRam);
    EXPECT_EQ(result.findings[i].where.raw(), kEnd + i * kPageSize);
  }
}

TEST_F(CheckFragmentsTest, BrokenFragments) {
  const PhysRange leaf = handover_.Fragment({});
  const uint64_t at = leaf.begin.raw();
  AddTop(leaf);
  void* fdt = machine_.At(at);
  const uint32_t size = fdt_totalsize(fdt);
  fdt_set_totalsize(fdt, kPageSize + 8);
  EXPECT_FINDING(handover_, ErrorCode::kFdtTotalSize, at);
  fdt_set_totalsize(fdt, 8);
  EXPECT_FINDING(handover_, ErrorCode::kFdtTotalSize, at);
  fdt_set_totalsize(fdt, size);
  fdt_set_size_dt_struct(fdt, 4);
  EXPECT_FINDING(handover_, ErrorCode::kFdtStructure, at);
  fdt_set_magic(fdt, 0);
  EXPECT_TRUE(handover_.Check().findings.empty()) << "no magic: a plain blob";
}

TEST_F(CheckFragmentsTest, FragmentLargerThanItsBlob) {
  const PhysRange leaf = handover_.Fragment({});
  const uint64_t size = fdt_totalsize(machine_.At(leaf.begin.raw()));
  AddTop({leaf.begin, size - 1});
  EXPECT_FINDING(handover_, ErrorCode::kFdtTotalSize, leaf.begin.raw());
  TestHandover handover;
  const PhysRange exact = handover.LinuxFragment();
  handover.AddClient("memblock", exact);
  EXPECT_TRUE(handover.Check().findings.empty());
  EXPECT_EQ(handover.Check().summary.fragments, 2u);
}

TEST_F(CheckFragmentsTest, LargeDeviceTreesArePlainBlobs) {
  const PhysRange blob = handover_.Blob(2, std::string("\xd0\x0d\xfe\xed\0\0\x20\0", 8));
  handover_.AddClient("dtb", blob);
  const CheckResult result = handover_.Check();
  EXPECT_TRUE(result.findings.empty());
  EXPECT_EQ(result.summary.fragments, 1u);
}

TEST_F(CheckFragmentsTest, FragmentThatLinksToItself) {
  const uint64_t top = AddTop(handover_.Blob(0));
  handover_.SetU64(top, "/link", "preserved-data", top);
  EXPECT_FINDING(handover_, ErrorCode::kFragmentCycle, top);
}

TEST_F(CheckFragmentsTest, FragmentThatLinksToTheRoot) {
  AddTop({Addr(handover_.root()), kPageSize});
  EXPECT_FINDING(handover_, ErrorCode::kFragmentCycle, handover_.root());
}

TEST_F(CheckFragmentsTest, FragmentThatLinksToAnAncestor) {
  const PhysRange leaf = handover_.Fragment({{"back", handover_.Blob(0)}});
  const PhysRange middle = handover_.Fragment({{"leaf", leaf}});
  const PhysRange top = handover_.Fragment({{"middle", middle}});
  handover_.AddClient("top", top);
  handover_.SetU64(leaf.begin.raw(), "/back", "preserved-data", top.begin.raw());
  EXPECT_FINDING(handover_, ErrorCode::kFragmentCycle, top.begin.raw());
}

TEST_F(CheckFragmentsTest, FragmentThatTwoLinksShare) {
  const PhysRange leaf = handover_.Fragment({});
  handover_.AddClient("a", handover_.Fragment({{"x", leaf}}));
  handover_.AddClient("b", handover_.Fragment({{"y", leaf}}));
  EXPECT_FINDING(handover_, ErrorCode::kFragmentCycle, leaf.begin.raw());
}

TEST_F(CheckFragmentsTest, PlainBlobsMayBeShared) {
  const PhysRange blob = handover_.Blob(1);
  handover_.AddClient("a", blob);
  handover_.AddClient("b", {blob.begin + 100, 100});
  EXPECT_TRUE(handover_.Check().findings.empty());
}

TEST_F(CheckFragmentsTest, DepthUpToTheLimit) {
  handover_.AddClient("chain", Chain(kMaxFragmentDepth - 1));
  const CheckResult result = handover_.Check();
  EXPECT_TRUE(result.findings.empty());
  EXPECT_EQ(result.summary.fragment_depth, kMaxFragmentDepth);
}

TEST_F(CheckFragmentsTest, DepthBeyondTheLimit) {
  const PhysRange deepest = handover_.Fragment({});
  PhysRange next = deepest;
  for (unsigned i = 1; i < kMaxFragmentDepth; ++i) next = handover_.Fragment({{"next", next}});
  handover_.AddClient("chain", next);
  EXPECT_FINDING(handover_, ErrorCode::kFragmentDepth, deepest.begin.raw());
  const CheckResult result = handover_.Check();
  EXPECT_EQ(result.findings[0].found, kMaxFragmentDepth + 1);
  EXPECT_EQ(result.summary.fragment_depth, kMaxFragmentDepth);
}

TEST_F(CheckFragmentsTest, ManyFragments) {
  // As many as have pages: a tree where each has 20 below it.
  constexpr int kFanOut = 20;
  std::vector<PhysRange> level;
  for (int i = 0; i < 800; ++i) level.push_back(handover_.Fragment({}));
  uint64_t count = level.size();
  while (level.size() > 1) {
    std::vector<PhysRange> above;
    for (size_t i = 0; i < level.size(); i += kFanOut) {
      TestHandover::Links links;
      for (size_t j = i; j < level.size() && j < i + kFanOut; ++j) {
        links.emplace_back("l" + std::to_string(j), level[j]);
      }
      above.push_back(handover_.Fragment(links));
    }
    count += above.size();
    level = above;
  }
  handover_.AddClient("tree", level[0]);
  const CheckResult result = handover_.Check();
  EXPECT_TRUE(result.findings.empty());
  EXPECT_EQ(result.summary.fragments, 1 + count);
  EXPECT_EQ(result.summary.fragment_depth, 5u);
}

TEST_F(CheckFragmentsTest, ManyFragmentsFarApart) {
  // Pages that do not touch, met from the middle outwards.
  constexpr size_t kCount = 300;
  std::vector<PhysRange> pages;
  for (size_t i = 0; i < kCount; ++i) {
    pages.push_back(handover_.Fragment({}));
    handover_.Blob(0);
  }
  TestHandover::Links tops;
  for (size_t i = 0; i < kCount;) {
    TestHandover::Links links;
    for (; i < kCount && links.size() < 20; ++i) {
      const size_t at = kCount / 2 + (i % 2 == 0 ? i / 2 : kCount - 1 - i / 2);
      links.emplace_back("l" + std::to_string(i), pages[at % kCount]);
    }
    tops.emplace_back("t" + std::to_string(i), handover_.Fragment(links));
  }
  handover_.AddClient("far", handover_.Fragment(tops));
  const CheckResult result = handover_.Check();  // which sees to it that no mark is left
  EXPECT_TRUE(result.findings.empty());
  EXPECT_EQ(result.summary.fragments, 2 + kCount + tops.size());
}

TEST_F(CheckFragmentsTest, FragmentWithTwoRoots) {
  const PhysRange blob = handover_.Blob(0);
  void* fdt = machine_.At(blob.begin.raw());
  ASSERT_EQ(fdt_create(fdt, kPageSize), 0);
  ASSERT_EQ(fdt_finish_reservemap(fdt), 0);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(fdt_begin_node(fdt, ""), 0);
    ASSERT_EQ(fdt_end_node(fdt), 0);
  }
  ASSERT_EQ(fdt_finish(fdt), 0);
  handover_.AddClient("a", blob);
  EXPECT_FINDING(handover_, ErrorCode::kFdtStructure, blob.begin.raw());
}

TEST_F(CheckFragmentsTest, StopsBetweenLinks) {
  handover_.AddClient("a", {Addr(kEnd), 1});
  handover_.AddClient("b", {Addr(kEnd), 2});
  handover_.AddClient("c", {Addr(kEnd), 3});
  uint64_t seen = 0;
  FrameTable& frames = machine_.NewFrames();
  const HandoverSummary summary =
      CheckHandover(machine_.memory, Addr(handover_.root()), machine_.scratch, frames,
                    [&](const Error&) { return ++seen < 2; });
  EXPECT_EQ(seen, 2u);
  EXPECT_EQ(summary.clients, 2u);
}

}  // namespace
}  // namespace khocore
