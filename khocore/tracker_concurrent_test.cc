// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <functional>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "khocore/fragment_reader.h"
#include "khocore/fragment_writer.h"
#include "khocore/testing/test_machine.h"
#include "khocore/tracker.h"

namespace khocore {
namespace {

constexpr unsigned kThreads = 8;

/// The pages of a test machine for one thread: some calls fail, as the seed decides.
class FailingPages final : public PageSource {
 public:
  FailingPages(TestMachine& machine, std::mutex& lock, uint32_t seed, unsigned failing_of_100)
      : machine_(machine), lock_(lock), random_(seed), failing_(failing_of_100) {}

  Result<PageFrame> AllocatePage() override {
    if (random_() % 100 < failing_) {
      ++failures;
      return Error{ErrorCode::kOutOfMemory, PhysAddr()};
    }
    const std::lock_guard guard(lock_);
    return machine_.pages.AllocatePage();
  }
  void FreePage(PageFrame page) override {
    const std::lock_guard guard(lock_);
    machine_.pages.FreePage(page);
  }

  uint64_t failures = 0;

 private:
  TestMachine& machine_;
  std::mutex& lock_;
  std::minstd_rand random_;
  unsigned failing_;
};

class ConcurrentTest : public testing::TestWithParam<unsigned> {
 protected:
  ConcurrentTest() {
    const Result<Tracker> tracker = Tracker::Create(machine_.memory, machine_.pages);
    EXPECT_TRUE(tracker.ok());
    tracker_ = tracker.value();
  }

  /// Runs `work(number, tracker, pages)` in all threads at once and joins their trackers.
  void RunAll(const std::function<void(unsigned, Tracker&, FailingPages&)>& work) {
    std::vector<std::thread> threads;
    std::vector<Tracker> trackers(kThreads);
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        FailingPages pages(machine_, lock_, i + 1, GetParam());
        trackers[i] = tracker_.ForCpu(pages);
        start_.arrive_and_wait();
        work(i, trackers[i], pages);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Tracker& tracker : trackers) tracker_.Join(tracker);
  }

  /// The tree holds exactly `blocks`, its counts agree, and no page is lost: what is out is the
  /// tree's, or one of `others`.
  void ExpectTree(std::set<std::pair<uint64_t, unsigned>> blocks, uint64_t others = 0) {
    std::set<std::pair<uint64_t, unsigned>> found;
    uint64_t pages = 0;
    for (const Block& block : TreeBlocks(machine_, tracker_.root())) {
      found.emplace(block.begin().raw(), block.order.log2());
      pages += block.order.pages();
    }
    EXPECT_EQ(found, blocks);
    EXPECT_EQ(tracker_.block_count(), found.size());
    EXPECT_EQ(tracker_.page_count(), pages);
    EXPECT_EQ(tracker_.node_count(), TreePages(machine_, tracker_.root()).size());
    EXPECT_EQ(machine_.pages.out().size(), tracker_.node_count() + others);
  }

  TestMachine machine_;
  std::mutex lock_;
  std::barrier<> start_{kThreads};
  Tracker tracker_;
};

/// Each page of a region belongs to one thread, its neighbours to others, so that all of them
/// change the same words; every order makes branches of its own.
TEST_P(ConcurrentTest, EachThreadFindsWhatItLeft) {
  constexpr uint64_t kGroup = 8 * kPageSize;
  constexpr unsigned kGroups = 256;
  std::vector<std::set<std::pair<uint64_t, unsigned>>> models(kThreads);
  RunAll([&](unsigned number, Tracker& tracker, FailingPages& pages) {
    std::minstd_rand random(number + 100);
    auto& model = models[number];
    for (unsigned i = 0; i < 20000; ++i) {
      const unsigned order = static_cast<unsigned>(random() % 4);
      const uint64_t group = random() % (kGroups / kThreads) * kThreads + number;
      const uint64_t at =
          TestMachine::kFree + group * kGroup + (random() % (8u >> order) << order) * kPageSize;
      const bool known = model.count({at, order}) != 0;
      const Status status =
          known ? tracker.Unpreserve(BlockAt(at, order)) : tracker.Preserve(BlockAt(at, order));
      if (known) {
        ASSERT_OK(status);
        model.erase({at, order});
      } else if (status.ok()) {
        model.emplace(at, order);
      } else {
        ASSERT_EQ(status.error().code, ErrorCode::kOutOfMemory);
        ASSERT_NE(pages.failures, 0u);
      }
      ASSERT_EQ(tracker.IsPreserved(BlockAt(at, order)), !known && status.ok());
    }
  });
  std::set<std::pair<uint64_t, unsigned>> all;
  for (const auto& model : models) all.insert(model.begin(), model.end());
  ExpectTree(all);
}

TEST_P(ConcurrentTest, OneThreadWinsEachBlock) {
  constexpr uint64_t kBlocks = 4000;
  std::atomic<uint64_t> preserved = 0;
  std::atomic<uint64_t> unpreserved = 0;
  std::barrier<> between(kThreads);
  RunAll([&](unsigned number, Tracker& tracker, FailingPages&) {
    const auto block = [&](uint64_t i) {
      // All at the same place at first, so that they build the same branches at the same time.
      return BlockAt(TestMachine::kFree + (i + (i > 64 ? number * 37 : 0)) % kBlocks * kPageSize,
                     0);
    };
    for (uint64_t i = 0; i < 65 + kBlocks; ++i) {
      Status status = tracker.Preserve(block(i));
      while (!status.ok() && status.error().code == ErrorCode::kOutOfMemory) {
        status = tracker.Preserve(block(i));
      }
      if (status.ok()) {
        ++preserved;
      } else {
        ASSERT_EQ(status.error().code, ErrorCode::kAlreadyPreserved);
      }
    }
    between.arrive_and_wait();
    for (uint64_t i = 0; i < 65 + kBlocks; ++i) {
      if (block(i).frame.number() % 2 == 0) continue;
      const Status status = tracker.Unpreserve(block(i));
      if (status.ok()) {
        ++unpreserved;
      } else {
        ASSERT_EQ(status.error().code, ErrorCode::kNotPreserved);
      }
    }
  });
  EXPECT_EQ(preserved, kBlocks);
  EXPECT_EQ(unpreserved, kBlocks / 2);
  std::set<std::pair<uint64_t, unsigned>> even;
  for (uint64_t i = 0; i < kBlocks; i += 2) even.emplace(TestMachine::kFree + i * kPageSize, 0);
  ExpectTree(even);
}

/// Ranges that overlap in part: each is preserved as a whole or not at all.
TEST_P(ConcurrentTest, ARangeIsPreservedWholeOrNotAtAll) {
  std::atomic<uint64_t> held = 0;
  RunAll([&](unsigned number, Tracker& tracker, FailingPages&) {
    std::minstd_rand random(number + 1);
    for (unsigned i = 0; i < 3000; ++i) {
      const PhysRange range{Addr(TestMachine::kFree + random() % 64 * kPageSize),
                            (1 + random() % 16) * kPageSize};
      if (!tracker.PreserveRange(range).ok()) continue;
      ++held;
      // It is this thread's alone until here.
      const Status status = tracker.UnpreserveRange(range);
      ASSERT_OK(status);
    }
  });
  EXPECT_NE(held, 0u);
  ExpectTree({});
}

/// Everybody gives the same range back; it is given back once.
TEST_P(ConcurrentTest, ARangeIsUnpreservedOnce) {
  const PhysRange range{Addr(TestMachine::kFree + kPageSize), 1000 * kPageSize};
  for (unsigned round = 0; round < 50; ++round) {
    ASSERT_OK(tracker_.PreserveRange(range));
    std::atomic<unsigned> winners = 0;
    RunAll([&](unsigned, Tracker& tracker, FailingPages&) {
      if (tracker.UnpreserveRange(range).ok()) ++winners;
    });
    ASSERT_LE(winners, 1u);
    if (winners == 0) ASSERT_OK(tracker_.UnpreserveRange(range));
    ASSERT_EQ(tracker_.block_count(), 0u);
  }
}

TEST_P(ConcurrentTest, FragmentsAreWrittenSideBySide) {
  std::vector<std::set<std::pair<uint64_t, unsigned>>> kept(kThreads);
  RunAll([&](unsigned number, Tracker& tracker, FailingPages& pages) {
    uint64_t previous = 0;
    for (uint64_t i = 0; i < 300; ++i) {
      FragmentWriter writer(machine_.memory, pages, tracker, "test-v1");
      (void)writer.PropertyU64("thread", number);
      (void)writer.PropertyU64("round", i);
      if (previous != 0) (void)writer.Link("previous", Addr(previous), kPageSize);
      const Result<PageFrame> page = writer.Close();
      if (!page.ok()) {
        ASSERT_EQ(page.error().code, ErrorCode::kOutOfMemory);
        continue;
      }
      if (previous != 0 && i % 3 == 0) {
        ASSERT_OK(tracker.Unpreserve(BlockAt(previous, 0)));
        pages.FreePage(FrameAt(previous));
        kept[number].erase({previous, 0});
      }
      previous = page.value().address().raw();
      kept[number].emplace(previous, 0);
    }
  });
  std::set<std::pair<uint64_t, unsigned>> all;
  for (const auto& blocks : kept) all.insert(blocks.begin(), blocks.end());
  ExpectTree(all, all.size());
  for (const auto& [address, order] : all) {
    ASSERT_OK(FragmentReader::Open(machine_.memory, {Addr(address), kPageSize}));
  }
}

INSTANTIATE_TEST_SUITE_P(AllocationFailures, ConcurrentTest, testing::Values(0u, 1u, 30u),
                         [](const auto& info) { return std::to_string(info.param) + "percent"; });

}  // namespace
}  // namespace khocore
