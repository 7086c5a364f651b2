// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/page_cache.h"

#include <gtest/gtest.h>
#include <string.h>

#include <set>
#include <vector>

#include "kernel/arch/testing/test_ram.h"
#include "kernel/base/direct_map.h"
#include "khocore/testing/test_machine.h"

namespace memory {
namespace {

using khocore::ErrorCode;
using khocore::FrameState;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysRange;

constexpr uint64_t kPages = 200;
constexpr size_t kBatch = PageCache::kBatch;
const PhysRange kRam{arch::TestRam::Range().begin, kPages* kPageSize};

class PageCacheTest : public testing::Test {
 protected:
  PageCacheTest() : storage_(PageFrame::Containing(kRam.begin), kPages) {
    memset(base::Direct<void>(kRam.begin), 0xa5, kRam.size);
    EXPECT_TRUE(memory_.AddWindow(kRam, base::Direct<void>(kRam.begin)).ok());
    EXPECT_TRUE(storage_.table.Fill(kRam, FrameState::kFree).ok());
    allocator_.Initialize(memory_, storage_.table, nodes_);
  }

  PageFrame Take(PageCache& cache) {
    const auto page = cache.AllocatePage();
    EXPECT_TRUE(page.ok());
    return page.value();
  }

  arch::TestRam ram_;
  khocore::TestFrames storage_;
  khocore::PhysicalMemory memory_;
  base::NodeMap nodes_;
  PageAllocator allocator_;
  SharedAllocator shared_{allocator_};
};

TEST_F(PageCacheTest, PagesAreZeroAndHandedOutOnce) {
  PageCache cache(shared_);
  std::set<uint64_t> seen;
  for (size_t i = 0; i < 3 * kBatch; ++i) {
    const PageFrame page = Take(cache);
    EXPECT_TRUE(seen.insert(page.number()).second) << page.number() << " was handed out twice";
    auto* bytes = base::Direct<uint8_t>(page.address());
    for (uint64_t at = 0; at < kPageSize; ++at) ASSERT_EQ(bytes[at], 0) << "byte " << at;
    bytes[kPageSize - 1] = 1;
  }
  // One that comes back is zero again.
  cache.FreePage(PageFrame::FromNumber(*seen.begin()));
  const PageFrame again = Take(cache);
  EXPECT_EQ(base::Direct<uint8_t>(again.address())[kPageSize - 1], 0);
}

TEST_F(PageCacheTest, MovesPagesInBatches) {
  PageCache cache(shared_);
  std::vector<PageFrame> held;
  for (size_t i = 0; i <= 2 * kBatch; ++i) {
    EXPECT_EQ(allocator_.free_pages(), kPages - (i + kBatch - 1) / kBatch * kBatch) << i;
    held.push_back(Take(cache));
  }
  const uint64_t free = allocator_.free_pages();
  // 31 are there already, so the cache is full after 33 more.
  for (size_t i = 0; i <= 2 * kBatch; ++i) {
    EXPECT_EQ(allocator_.free_pages(), free + (i > kBatch + 1 ? kBatch : 0)) << i;
    cache.FreePage(held[i]);
  }
}

TEST_F(PageCacheTest, GivesAllBackWhenItEnds) {
  {
    PageCache cache(shared_);
    std::vector<PageFrame> held;
    for (size_t i = 0; i < 3 * kBatch; ++i) held.push_back(Take(cache));
    for (const PageFrame page : held) cache.FreePage(page);
    EXPECT_NE(allocator_.free_pages(), kPages);
  }
  EXPECT_EQ(allocator_.free_pages(), kPages);
  EXPECT_EQ(CountFrames(storage_.table, FrameState::kAllocated), 0u);
}

TEST_F(PageCacheTest, HandsOutTheLastPages) {
  PageCache cache(shared_);
  for (uint64_t i = 0; i < kPages; ++i) (void)Take(cache);
  EXPECT_EQ(allocator_.free_pages(), 0u);
  EXPECT_EQ(cache.AllocatePage().error().code, ErrorCode::kOutOfMemory);
}

TEST_F(PageCacheTest, CachesShareNoPage) {
  PageCache one(shared_);
  PageCache other(shared_);
  std::set<uint64_t> seen;
  for (size_t i = 0; i < 2 * kBatch; ++i) {
    EXPECT_TRUE(seen.insert(Take(one).number()).second);
    EXPECT_TRUE(seen.insert(Take(other).number()).second);
  }
}

}  // namespace
}  // namespace memory
