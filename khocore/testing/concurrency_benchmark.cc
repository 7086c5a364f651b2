// SPDX-License-Identifier: BSD-3-Clause
//
// Preserving and writing fragments from 1, 2, 4 and 8 threads, without a lock and, for comparison,
// with one mutex around each operation. Real time; the context that Google Benchmark prints first
// says how many cores there are.
//
//     bazel run -c opt //khocore/testing:concurrency_benchmark

#include <benchmark/benchmark.h>
#include <string.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "khocore/fragment_writer.h"
#include "khocore/tracker.h"

namespace khocore {
namespace {

constexpr unsigned kMaxThreads = 8;
constexpr uint64_t kBase = uint64_t{1} << 30;
constexpr uint64_t kPagesOfEach = 4096;

/// The pages of one thread: a stack of those that are free.
class OwnPages final : public PageSource {
 public:
  OwnPages(const PhysicalMemory& memory, PageFrame first, uint64_t count) : memory_(memory) {
    for (uint64_t i = count; i > 0; --i) free_.push_back(first + (i - 1));
  }
  Result<PageFrame> AllocatePage() override {
    if (free_.empty()) return Error{ErrorCode::kOutOfMemory};
    const PageFrame page = free_.back();
    free_.pop_back();
    memset(memory_.Find({page.address(), kPageSize}), 0, kPageSize);
    return page;
  }
  void FreePage(PageFrame page) override { free_.push_back(page); }

 private:
  const PhysicalMemory& memory_;
  std::vector<PageFrame> free_;
};

/// RAM, a tree, and for each thread pages and a tracker. Half of the RAM is the page sources', in
/// the other half are the blocks.
struct Machine {
  static constexpr uint64_t kSize = uint64_t{2} * kMaxThreads * kPagesOfEach * kPageSize;

  Machine() : bytes(static_cast<uint8_t*>(aligned_alloc(kPageSize, kSize))) {
    if (!memory.AddWindow({PhysAddr::FromRaw(kBase), kSize}, bytes.get()).ok()) abort();
    for (unsigned i = 0; i < kMaxThreads; ++i) {
      pages.push_back(std::make_unique<OwnPages>(
          memory, PageFrame::Containing(PhysAddr::FromRaw(kBase)) + i * kPagesOfEach,
          kPagesOfEach));
    }
    tree = Tracker::Create(memory, *pages[0]).value();
    for (const auto& source : pages) trackers.push_back(tree.ForCpu(*source));
  }

  /// Neighbouring pages belong to different threads, so that they share words and leaves.
  static Block BlockOf(uint64_t thread, uint64_t i) {
    constexpr uint64_t kFirst = (kBase >> kPageShift) + kMaxThreads * kPagesOfEach;
    return {PageFrame::FromNumber(kFirst + i % kPagesOfEach * kMaxThreads + thread), Order()};
  }

  struct Free {
    void operator()(uint8_t* all) const { free(all); }
  };
  std::unique_ptr<uint8_t, Free> bytes;
  PhysicalMemory memory;
  std::vector<std::unique_ptr<OwnPages>> pages;
  Tracker tree;
  std::vector<Tracker> trackers;
  std::mutex mutex;
};

Machine& TheMachine() {
  static Machine machine;
  return machine;
}

/// A lock, or none.
std::unique_lock<std::mutex> Enter(Machine& machine, bool locked) {
  return locked ? std::unique_lock(machine.mutex) : std::unique_lock<std::mutex>();
}

void PreserveAndUnpreserve(benchmark::State& state, bool locked) {
  Machine& machine = TheMachine();
  const auto thread = static_cast<uint64_t>(state.thread_index());
  Tracker& tracker = machine.trackers[thread];
  uint64_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    const Block block = Machine::BlockOf(thread, i++);
    bool ok = true;
    {
      const auto lock = Enter(machine, locked);
      ok &= tracker.Preserve(block).ok();
    }
    {
      const auto lock = Enter(machine, locked);
      ok &= tracker.Unpreserve(block).ok();
    }
    if (!ok) state.SkipWithError("a block was another thread's");
  }
  state.SetItemsProcessed(2 * state.iterations());
}

void WriteFragment(benchmark::State& state, bool locked) {
  Machine& machine = TheMachine();
  const auto thread = static_cast<size_t>(state.thread_index());
  Tracker& tracker = machine.trackers[thread];
  OwnPages& pages = *machine.pages[thread];
  for ([[maybe_unused]] auto _ : state) {
    const auto lock = Enter(machine, locked);
    FragmentWriter writer(machine.memory, pages, tracker, "benchmark-v1");
    for (const char* name : {"a", "b", "c", "d"}) (void)writer.PropertyU64(name, thread);
    const Result<PageFrame> page = writer.Close();
    if (!page.ok() || !tracker.Unpreserve({page.value(), Order()}).ok()) {
      state.SkipWithError("the fragment was lost");
      return;
    }
    pages.FreePage(page.value());
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK_CAPTURE(PreserveAndUnpreserve, without_lock, false)
    ->ThreadRange(1, kMaxThreads)
    ->UseRealTime();
BENCHMARK_CAPTURE(PreserveAndUnpreserve, one_mutex, true)
    ->ThreadRange(1, kMaxThreads)
    ->UseRealTime();
BENCHMARK_CAPTURE(WriteFragment, without_lock, false)->ThreadRange(1, kMaxThreads)->UseRealTime();
BENCHMARK_CAPTURE(WriteFragment, one_mutex, true)->ThreadRange(1, kMaxThreads)->UseRealTime();

}  // namespace
}  // namespace khocore

BENCHMARK_MAIN();
