// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "khocore/abi/scratch.h"
#include "khocore/frame_table.h"
#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/scratch.h"
#include "khocore/types.h"

namespace khocore {

/// Pages out of a range, each handed out zeroed, the lowest free one first, filled with junk when
/// it comes back. Fails the running test when a page comes back that is not out.
class TestPages final : public PageSource {
 public:
  TestPages(const PhysicalMemory& memory, PhysRange range);

  Result<PageFrame> AllocatePage() override;
  void FreePage(PageFrame page) override;

  /// From now on the call with this number fails with `kOutOfMemory`, the first being 0.
  void FailAt(uint64_t call) { left_ = call; }
  void FailNever() { left_ = ~uint64_t{0}; }

  /// The pages that are out.
  const std::set<uint64_t>& out() const { return out_; }

 private:
  const PhysicalMemory& memory_;
  std::set<uint64_t> free_;
  std::set<uint64_t> out_;
  uint64_t left_ = ~uint64_t{0};
};

/// The frame table of RAM that is there for tests, with a page for each chunk.
class TestFrames {
 public:
  TestFrames(PageFrame first, uint64_t count);

  FrameTable table;

 private:
  std::vector<uint64_t> directory_;
  std::vector<uint8_t> pages_;
};

/// The bytes of `count` frames from `first` on.
std::vector<uint8_t> BytesOf(const FrameTable& frames, PageFrame first, uint64_t count);
/// The number of frames in a state.
uint64_t CountFrames(const FrameTable& frames, FrameState state);

/// A small machine: RAM at 1 GiB, eight times as large as scratch is aligned to (32 MiB with pages
/// of 4 KiB), with unreachable addresses around it. The first eighth is scratch, the pages of the
/// last one belong to `pages`.
class TestMachine {
 public:
  static constexpr uint64_t kBase = uint64_t{1} << 30;
  static constexpr uint64_t kSize = 8 * abi::kScratchAlignment;
  static constexpr uint64_t kEnd = kBase + kSize;
  static constexpr uint64_t kScratchSize = abi::kScratchAlignment;
  static constexpr uint64_t kFree = kBase + kScratchSize;  ///< where neither has anything
  static constexpr uint64_t kPages = kEnd - abi::kScratchAlignment;

  TestMachine();
  ~TestMachine();
  TestMachine(const TestMachine&) = delete;
  TestMachine& operator=(const TestMachine&) = delete;

  /// The bytes at `address`, which is RAM.
  uint8_t* At(uint64_t address);
  uint64_t ReadU64(uint64_t address);
  void WriteU64(uint64_t address, uint64_t value);
  std::string Page(uint64_t address);

  /// Makes RAM read-only, so that whoever writes to it crashes, and writable again.
  void Freeze();
  void Thaw();

  /// The frame table of a kernel that has just started: all RAM free, scratch marked.
  FrameTable& NewFrames();

  PhysicalMemory memory;
  Scratch scratch;

 private:
  uint8_t* mapping_;
  std::vector<std::unique_ptr<TestFrames>> frames_;

 public:
  TestPages pages;
};

inline PhysAddr Addr(uint64_t raw) { return PhysAddr::FromRaw(raw); }
inline PageFrame FrameAt(uint64_t address) { return PageFrame::Containing(Addr(address)); }
inline Block BlockAt(uint64_t address, unsigned order) {
  return {FrameAt(address), Order::FromLog2(order)};
}

/// Every node page of a tree with its bytes, by address.
std::map<uint64_t, std::string> TreePages(TestMachine& machine, PageFrame root);
/// Every block of a tree, in the order of the walk.
std::vector<Block> TreeBlocks(TestMachine& machine, PageFrame root);

/// For gtest's messages.
std::string Describe(const Error& error);
template <typename T>
std::string Describe(const Result<T>& result) {
  return result.ok() ? "ok" : Describe(result.error());
}

}  // namespace khocore

#define ASSERT_OK(expression)                                                \
  do {                                                                       \
    const auto& khocore_result = (expression);                               \
    ASSERT_TRUE(khocore_result.ok()) << ::khocore::Describe(khocore_result); \
  } while (0)

/// Expects an error with this code at this raw address.
#define EXPECT_ERROR(expression, expected_code, expected_where)                                   \
  do {                                                                                            \
    const auto& khocore_result = (expression);                                                    \
    ASSERT_FALSE(khocore_result.ok());                                                            \
    EXPECT_EQ(khocore_result.error().code, expected_code) << ::khocore::Describe(khocore_result); \
    EXPECT_EQ(khocore_result.error().where.raw(), expected_where)                                 \
        << ::khocore::Describe(khocore_result);                                                   \
  } while (0)
