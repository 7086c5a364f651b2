// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/page_allocator.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "kernel/arch/testing/test_boot.h"
#include "khocore/testing/test_machine.h"

namespace memory {
namespace {

using base::Random;
using khocore::Block;
using khocore::ErrorCode;
using khocore::FrameState;
using khocore::FrameTable;
using khocore::kPageSize;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysicalMemory;
using khocore::PhysRange;
using khocore::Status;

constexpr uint64_t kFirst = 1000;  // no multiple of a large block
constexpr uint64_t kPages = 5000;

/// RAM of `kPages` pages, with an allocator over all but what `reserve` takes away.
class PageAllocatorTest : public testing::Test {
 protected:
  PageAllocatorTest()
      : bytes_(static_cast<uint8_t*>(std::aligned_alloc(kPageSize, kPages * kPageSize)),
               &std::free),
        storage_(PageFrame::FromNumber(kFirst), kPages) {
    EXPECT_TRUE(
        memory_
            .AddWindow({PageFrame::FromNumber(kFirst).address(), kPages * kPageSize}, bytes_.get())
            .ok());
    Mark(kFirst, kPages, FrameState::kFree);
  }

  void Mark(uint64_t first, uint64_t count, FrameState state) {
    const PhysRange range{PageFrame::FromNumber(first).address(), count * kPageSize};
    EXPECT_TRUE(frames_.Fill(range, state).ok());
  }

  std::unique_ptr<uint8_t, decltype(&std::free)> bytes_;
  khocore::TestFrames storage_;
  PhysicalMemory memory_;
  FrameTable& frames_ = storage_.table;
  base::NodeMap nodes_;
  PageAllocator allocator_;
};

TEST_F(PageAllocatorTest, NothingSpansNodes) {
  constexpr uint64_t kBoundary = 3333;  // aligned to nothing
  const auto in_one = [this](PhysRange range) { return nodes_.IsInOne(range); };
  ASSERT_TRUE(nodes_.Add({PhysAddr(), kBoundary * kPageSize}, 0));
  ASSERT_TRUE(nodes_.Add({PhysAddr::FromRaw(kBoundary * kPageSize), 9000 * kPageSize}, 1));
  allocator_.Initialize(memory_, frames_, nodes_);
  base::Random random = base::Random::ForPurpose(3, "test");
  allocator_.SetRandom(&random);
  std::vector<PageFrame> pages;
  unsigned at_boundary = 0;
  for (unsigned i = 0; i < 8; ++i) {  // the third, a single page, is the last below the boundary
    const auto page = allocator_.Allocate(Order());
    ASSERT_TRUE(page.ok());
    at_boundary += page.value().number() == kBoundary - 1 ? 1 : 0;
    pages.push_back(page.value());
  }
  EXPECT_EQ(at_boundary, 1u);
  // All of memory, in blocks of every size, and back.
  for (unsigned log2 = 9; log2 < 10; --log2) {
    for (auto head = allocator_.Allocate(Order::FromLog2(log2)); head.ok();
         head = allocator_.Allocate(Order::FromLog2(log2))) {
      EXPECT_TRUE(in_one({head.value().address(), Order::FromLog2(log2).bytes()}));
      pages.push_back(head.value());
    }
  }
  EXPECT_EQ(allocator_.free_pages(), 0u);
  for (const PageFrame page : pages) EXPECT_TRUE(allocator_.Free(page).ok());
  // Blocks that touch have become one again, but those at the boundary.
  for (PageFrame at = frames_.first(); at < frames_.end();) {
    const Order order = frames_.order(at);
    EXPECT_TRUE(in_one({at.address(), order.bytes()}));
    at = at + order.pages();
  }
  const auto range = allocator_.AllocateRange(1700 * kPageSize, kPageSize);
  ASSERT_TRUE(range.ok());  // only the lower node has so many in one piece; both have them together
  EXPECT_TRUE(in_one(range.value()));
  EXPECT_FALSE(allocator_.AllocateRange(2700 * kPageSize, kPageSize).ok());
}

TEST_F(PageAllocatorTest, TakesOverWhatIsFreeAndNothingElse) {
  Mark(2000, 10, FrameState::kAllocated);
  Mark(3000, 5, FrameState::kPreserved);
  ASSERT_TRUE(frames_.SetScratch({PageFrame::FromNumber(4096).address(), 1024 * kPageSize}).ok());
  allocator_.Initialize(memory_, frames_, nodes_);
  EXPECT_EQ(allocator_.free_pages(), kPages - 10 - 5 - 1024);
  std::set<uint64_t> seen;
  while (true) {
    const auto page = allocator_.Allocate(Order());
    if (!page.ok()) {
      EXPECT_EQ(page.error().code, ErrorCode::kOutOfMemory);
      break;
    }
    const uint64_t number = page.value().number();
    EXPECT_TRUE(seen.insert(number).second) << number << " was handed out twice";
    EXPECT_TRUE(number < 2000 || number >= 2010);
    EXPECT_TRUE(number < 3000 || number >= 3005);
    EXPECT_TRUE(number < 4096 || number >= 5120) << number << " is scratch";
  }
  EXPECT_EQ(seen.size(), kPages - 10 - 5 - 1024);
}

TEST_F(PageAllocatorTest, BlocksAreAlignedAndMergeAgain) {
  allocator_.Initialize(memory_, frames_, nodes_);
  const std::vector<uint8_t> before = BytesOf(frames_, frames_.first(), kPages);
  Random random(3);
  allocator_.SetRandom(&random);
  std::vector<Block> held;
  for (int i = 0; i < 400; ++i) {
    const Order order = Order::FromLog2(static_cast<unsigned>(random.Below(6)));
    const auto head = allocator_.Allocate(order);
    if (!head.ok()) break;
    held.push_back({head.value(), order});
    EXPECT_TRUE(held.back().IsAligned());
    EXPECT_EQ(frames_.order(head.value()), order);
  }
  while (!held.empty()) {
    const size_t index = random.Below(held.size());
    ASSERT_TRUE(allocator_.Free(held[index].frame).ok());
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(index));
  }
  EXPECT_EQ(allocator_.free_pages(), kPages);
  EXPECT_EQ(BytesOf(frames_, frames_.first(), kPages), before)
      << "the blocks did not merge back into the ones at the start";
}

TEST_F(PageAllocatorTest, RangesCoverExactlyTheirPages) {
  allocator_.Initialize(memory_, frames_, nodes_);
  const auto range = allocator_.AllocateRange(37 * kPageSize + 1, 16 * kPageSize);
  ASSERT_TRUE(range.ok());
  EXPECT_EQ(range.value().size, 38 * kPageSize);
  EXPECT_TRUE(range.value().begin.IsAligned(16 * kPageSize));
  EXPECT_EQ(allocator_.free_pages(), kPages - 38);
  EXPECT_EQ(CountFrames(frames_, FrameState::kAllocated), 38u);
  ASSERT_TRUE(allocator_.FreeRange(range.value()).ok());
  EXPECT_EQ(allocator_.free_pages(), kPages);
}

TEST_F(PageAllocatorTest, RangesAreFoundAcrossBlocks) {
  // 4000 pages in one piece, of which no block has more than 2048.
  Mark(1500, 20, FrameState::kAllocated);
  allocator_.Initialize(memory_, frames_, nodes_);
  EXPECT_FALSE(allocator_.AllocateRange(4481 * kPageSize, kPageSize).ok());
  const auto range = allocator_.AllocateRange(4000 * kPageSize, 8 * kPageSize);
  ASSERT_TRUE(range.ok());
  EXPECT_EQ(range.value().size, 4000 * kPageSize);
  EXPECT_TRUE(range.value().begin.IsAligned(8 * kPageSize));
  EXPECT_EQ(allocator_.free_pages(), kPages - 20 - 4000);
  EXPECT_EQ(CountFrames(frames_, FrameState::kAllocated), 4020u);
  EXPECT_EQ(CountFrames(frames_, FrameState::kFree), kPages - 4020);
  ASSERT_TRUE(allocator_.FreeRange(range.value()).ok());
  EXPECT_EQ(allocator_.free_pages(), kPages - 20);
}

TEST_F(PageAllocatorTest, RangesAreFoundBesideScratchAndWhatIsInUse) {
  // The only room for 700 pages lies behind both.
  Mark(1500, 1, FrameState::kPreserved);
  ASSERT_TRUE(frames_.SetScratch({PageFrame::FromNumber(2048).address(), 2048 * kPageSize}).ok());
  Mark(5000, 1000, FrameState::kAllocated);
  allocator_.Initialize(memory_, frames_, nodes_);
  EXPECT_FALSE(allocator_.AllocateRange(905 * kPageSize, kPageSize).ok());
  const auto range = allocator_.AllocateRange(700 * kPageSize, kPageSize);
  ASSERT_TRUE(range.ok());
  EXPECT_EQ(range.value().begin, PageFrame::FromNumber(4096).address());
  EXPECT_EQ(CountFrames(frames_, FrameState::kAllocated), 1700u);
  EXPECT_EQ(CountFrames(frames_, FrameState::kPreserved), 1u);
}

TEST_F(PageAllocatorTest, RangesTooLargeForMemoryAreRefused) {
  allocator_.Initialize(memory_, frames_, nodes_);
  for (const uint64_t size : {(kPages + 1) * kPageSize, uint64_t{5} << 30, ~uint64_t{0}}) {
    EXPECT_EQ(allocator_.AllocateRange(size, kPageSize).error().code, ErrorCode::kOutOfMemory);
  }
  EXPECT_EQ(allocator_.AllocateRange(1, uint64_t{8} << 30).error().code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(allocator_.free_pages(), kPages);
}

/// 12 GiB of RAM from 4 GiB on, of which the host backs only what is touched.
class LargePageAllocatorTest : public testing::Test {
 protected:
  static constexpr uint64_t kGiB = uint64_t{1} << 30;
  static constexpr PhysRange kRam{PhysAddr::FromRaw(4 * kGiB), 12 * kGiB};

  LargePageAllocatorTest()
      : bytes_(mmap(nullptr, kRam.size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
        storage_(PageFrame::Containing(kRam.begin), kRam.size / kPageSize) {
    EXPECT_NE(bytes_, MAP_FAILED);
    EXPECT_TRUE(memory_.AddWindow(kRam, static_cast<uint8_t*>(bytes_)).ok());
    EXPECT_TRUE(storage_.table.Fill(kRam, FrameState::kFree).ok());
    allocator_.Initialize(memory_, storage_.table, nodes_);
  }
  ~LargePageAllocatorTest() override { munmap(bytes_, kRam.size); }

  void* bytes_;
  khocore::TestFrames storage_;
  PhysicalMemory memory_;
  base::NodeMap nodes_;
  PageAllocator allocator_;
};

TEST_F(LargePageAllocatorTest, RangesBeyondTheLargestOrderAreApart) {
  constexpr uint64_t kSize = 5 * kGiB;
  static_assert(kSize > Order::FromLog2(PageAllocator::kMaxOrder).bytes());
  const auto first = allocator_.AllocateRange(kSize, kPageSize);
  const auto second = allocator_.AllocateRange(kSize, kPageSize);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(first.value().size, kSize);
  EXPECT_EQ(second.value().size, kSize);
  EXPECT_TRUE(kRam.Contains(first.value()));
  EXPECT_TRUE(kRam.Contains(second.value()));
  EXPECT_FALSE(first.value().Overlaps(second.value()))
      << std::hex << first.value().begin.raw() << " and " << second.value().begin.raw();
  EXPECT_EQ(CountFrames(storage_.table, FrameState::kAllocated), 2 * kSize / kPageSize);
  EXPECT_EQ(allocator_.free_pages(), (kRam.size - 2 * kSize) / kPageSize);
  EXPECT_EQ(allocator_.AllocateRange(kSize, kPageSize).error().code, ErrorCode::kOutOfMemory);
  ASSERT_TRUE(allocator_.FreeRange(first.value()).ok());
  ASSERT_TRUE(allocator_.FreeRange(second.value()).ok());
  EXPECT_EQ(allocator_.free_pages(), kRam.size / kPageSize);
  for (uint64_t at = 4 * kGiB; at < 16 * kGiB; at += 4 * kGiB) {
    const PageFrame head = PageFrame::Containing(PhysAddr::FromRaw(at));
    EXPECT_TRUE(
        storage_.table.IsHead({head, Order::FromLog2(PageAllocator::kMaxOrder)}, FrameState::kFree))
        << "no block merges beyond the largest order";
  }
}

TEST_F(LargePageAllocatorTest, AlignmentBeyondTheLargestOrderIsMet) {
  const auto range = allocator_.AllocateRange(kPageSize, 8 * kGiB);
  ASSERT_TRUE(range.ok());
  EXPECT_EQ(range.value().begin.raw(), 8 * kGiB);
  EXPECT_EQ(allocator_.free_pages(), kRam.size / kPageSize - 1);
}

TEST_F(PageAllocatorTest, RefusesWhatItDidNotHandOut) {
  ASSERT_TRUE(frames_.SetScratch({PageFrame::FromNumber(4096).address(), 1024 * kPageSize}).ok());
  allocator_.Initialize(memory_, frames_, nodes_);
  const auto head = allocator_.Allocate(Order::FromLog2(3));
  ASSERT_TRUE(head.ok());
  EXPECT_FALSE(allocator_.Free(head.value() + 1).ok()) << "a tail page";
  ASSERT_TRUE(allocator_.Free(head.value()).ok());
  EXPECT_FALSE(allocator_.Free(head.value()).ok()) << "freed before";
  EXPECT_FALSE(allocator_.Free(PageFrame::FromNumber(4096)).ok()) << "scratch";
  ASSERT_TRUE(frames_.Set({PageFrame::FromNumber(4097), Order()}, FrameState::kAllocated).ok());
  EXPECT_EQ(allocator_.Free(PageFrame::FromNumber(4097)).error().code, ErrorCode::kNotAllocated)
      << "scratch that is in use, as the kernel's image may be";
  EXPECT_FALSE(allocator_.Free(PageFrame::FromNumber(1)).ok()) << "no RAM";
  EXPECT_EQ(allocator_.Allocate(Order::FromLog2(PageAllocator::kMaxOrder + 1)).error().code,
            ErrorCode::kOrderRange);
  EXPECT_EQ(allocator_.Allocate(Order::FromLog2(PageAllocator::kMaxOrder)).error().code,
            ErrorCode::kOutOfMemory);
}

TEST_F(PageAllocatorTest, RegroupsWhatIsAllocated) {
  Mark(2000, 48, FrameState::kAllocated);  // no blocks yet, as at the start
  allocator_.Initialize(memory_, frames_, nodes_);
  const PhysRange range{PageFrame::FromNumber(2000).address(), 48 * kPageSize};
  EXPECT_FALSE(allocator_.FreeRange(range).ok()) << "tails of no block";
  ASSERT_TRUE(
      ForEachBlock(nodes_, range, [&](Block block) { return allocator_.Regroup(block); }).ok());
  EXPECT_TRUE(
      frames_.IsHead({PageFrame::FromNumber(2000), Order::FromLog2(4)}, FrameState::kAllocated));
  EXPECT_EQ(allocator_.free_pages(), kPages - 48);
  ASSERT_TRUE(allocator_.FreeRange(range).ok());
  EXPECT_EQ(allocator_.free_pages(), kPages);
  EXPECT_EQ(CountFrames(frames_, FrameState::kFree), kPages);
}

TEST_F(PageAllocatorTest, PagesForKhocoreAreZero) {
  std::memset(bytes_.get(), 0xa5, kPages * kPageSize);
  allocator_.Initialize(memory_, frames_, nodes_);
  const auto page = allocator_.AllocatePage();
  ASSERT_TRUE(page.ok());
  const auto* at = static_cast<const uint8_t*>(memory_.Find({page.value().address(), kPageSize}));
  for (uint64_t i = 0; i < kPageSize; ++i) ASSERT_EQ(at[i], 0) << "byte " << i;
  allocator_.FreePage(page.value());
  EXPECT_EQ(allocator_.free_pages(), kPages);
}

TEST_F(PageAllocatorTest, APageIsNoBlock) {
  allocator_.Initialize(memory_, frames_, nodes_);
  const auto block = allocator_.Allocate(Order::FromLog2(1));
  ASSERT_TRUE(block.ok());
  EXPECT_ENDS(allocator_.FreePage(block.value()), kPanic, "order.page. == Order");
  ASSERT_TRUE(allocator_.Free(block.value()).ok());
  EXPECT_ENDS(allocator_.FreePage(block.value()), kPanic, "check failed");
}

TEST(ForEachBlock, SplitsFrontToBackIntoTheFewestBlocks) {
  std::vector<std::pair<uint64_t, unsigned>> blocks;
  const PhysRange range{PageFrame::FromNumber(5).address(), 14 * kPageSize};
  ASSERT_TRUE(ForEachBlock(base::NodeMap(), range, [&](Block block) -> Status {
                blocks.emplace_back(block.frame.number(), block.order.log2());
                return Ok{};
              }).ok());
  EXPECT_EQ(blocks,
            (std::vector<std::pair<uint64_t, unsigned>>{{5, 0}, {6, 1}, {8, 3}, {16, 1}, {18, 0}}));
}

}  // namespace

TEST_F(PageAllocatorTest, TheFirstTwoBlocksLieNearEitherEndWithAnySeed) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Mark(kFirst, kPages, FrameState::kFree);
    PageAllocator allocator;
    allocator.Initialize(memory_, frames_, nodes_);
    base::Random random(seed);
    allocator.SetRandom(&random);
    // Of 2,048 pages there is one block, so what it is split into goes to the next.
    EXPECT_EQ(allocator.Allocate(Order()).value().number(), 2048) << seed;
    EXPECT_EQ(allocator.Allocate(Order()).value().number(), 1024) << seed;
  }
}

}  // namespace memory
