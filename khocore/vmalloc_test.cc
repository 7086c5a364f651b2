// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/vmalloc.h"

#include <gtest/gtest.h>

#include <tuple>
#include <utility>
#include <vector>

#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kFree = TestMachine::kFree;
constexpr uint64_t kChunks = TestMachine::kPages - (uint64_t{1} << 20);  ///< for chains by hand

class VmallocTest : public testing::Test {
 protected:
  VmallocTest() : tracker_(Tracker::Create(machine_.memory, machine_.pages).value()) {}

  /// Blocks with gaps, backwards, so that nothing is in order by accident.
  static std::vector<PageFrame> MakeBlocks(uint64_t count, unsigned order) {
    std::vector<PageFrame> blocks;
    for (uint64_t i = count; i-- > 0;) blocks.push_back(FrameAt(kFree + (i * 3 << (12 + order))));
    return blocks;
  }
  Result<abi::Vmalloc> Write(const std::vector<PageFrame>& blocks, unsigned order) {
    return WriteVmalloc(machine_.memory, machine_.pages, {blocks.data(), blocks.size()},
                        Order::FromLog2(order));
  }
  Status Preserve(const abi::Vmalloc& vmalloc) {
    return PreserveVmalloc(machine_.memory, tracker_, vmalloc);
  }
  Status Walk(const abi::Vmalloc& vmalloc) {
    blocks_.clear();
    chunks_.clear();
    const auto block = [&](Block b) -> Status {
      blocks_.push_back(b);
      if (blocks_.size() == block_limit_) return Error{ErrorCode::kNotPreserved, b.begin()};
      return Ok{};
    };
    const auto chunk = [&](PageFrame page) -> Status {
      chunks_.push_back(page.address().raw());
      if (chunks_.size() == chunk_limit_) return Error{ErrorCode::kOverlap, page.address()};
      return Ok{};
    };
    return WalkVmalloc(machine_.memory, vmalloc, block, chunk);
  }

  /// A chain laid out by hand: chunk i with so many blocks and a link to the next one.
  abi::Vmalloc MakeChain(const std::vector<uint64_t>& counts) {
    uint64_t block = kFree;
    for (uint64_t i = 0; i < counts.size(); ++i) {
      const uint64_t chunk = ChunkAt(i);
      machine_.WriteU64(chunk, i + 1 < counts.size() ? ChunkAt(i + 1) : 0);
      for (uint64_t entry = 0; entry < 511; ++entry) {
        machine_.WriteU64(chunk + 8 + entry * 8, entry < counts[i] ? block : 0);
        if (entry < counts[i]) block += kPageSize;
      }
    }
    return {ChunkAt(0), static_cast<uint32_t>((block - kFree) / kPageSize), 1, 0};
  }
  static uint64_t ChunkAt(uint64_t i) { return kChunks + i * kPageSize; }

  TestMachine machine_;
  Tracker tracker_;
  std::vector<Block> blocks_;
  std::vector<uint64_t> chunks_;
  size_t block_limit_ = 0;
  size_t chunk_limit_ = 0;
};

TEST_F(VmallocTest, HasTheLayoutOfTheAbi) {
  const auto blocks = MakeBlocks(512, 0);
  const auto made = Write(blocks, 0);
  ASSERT_OK(made);
  EXPECT_EQ(made.value().total_pages, 512u);
  EXPECT_EQ(made.value().flags, 1u);  // VM_ALLOC
  EXPECT_EQ(made.value().order, 0u);
  const uint64_t first = made.value().first;
  for (uint64_t i = 0; i < 511; ++i) {
    ASSERT_EQ(machine_.ReadU64(first + 8 + i * 8), blocks[i].address().raw());
  }
  const uint64_t second = machine_.ReadU64(first);
  EXPECT_EQ(machine_.ReadU64(second), 0u);
  EXPECT_EQ(machine_.ReadU64(second + 8), blocks[511].address().raw());
  EXPECT_EQ(machine_.ReadU64(second + 16), 0u);
}

struct Count {
  uint64_t blocks;
  uint64_t chunks;
};
class VmallocCountTest : public VmallocTest,
                         public testing::WithParamInterface<std::tuple<Count, unsigned>> {};

TEST_P(VmallocCountTest, RoundTrip) {
  const auto [count, order] = GetParam();
  const auto out_before = machine_.pages.out().size();
  const auto blocks = MakeBlocks(count.blocks, order);
  const auto made = Write(blocks, order);
  ASSERT_OK(made);
  EXPECT_EQ(made.value().total_pages, count.blocks << order);
  EXPECT_EQ(made.value().order, order);
  EXPECT_EQ(made.value().flags, order == 0 ? 1u : 3u);
  EXPECT_EQ(machine_.pages.out().size(), out_before + count.chunks);
  EXPECT_EQ(tracker_.block_count(), 0u);

  ASSERT_OK(Walk(made.value()));
  ASSERT_EQ(blocks_.size(), count.blocks);
  for (uint64_t i = 0; i < count.blocks; ++i) {
    EXPECT_EQ(blocks_[i], (Block{blocks[i], Order::FromLog2(order)}));
  }
  ASSERT_EQ(chunks_.size(), count.chunks);

  ASSERT_OK(Preserve(made.value()));
  EXPECT_EQ(tracker_.block_count(), count.blocks + count.chunks);
  for (const Block& block : blocks_) EXPECT_TRUE(tracker_.IsPreserved(block));
  for (const uint64_t chunk : chunks_) EXPECT_TRUE(tracker_.IsPreserved(BlockAt(chunk, 0)));
}

INSTANTIATE_TEST_SUITE_P(Edges, VmallocCountTest,
                         testing::Combine(testing::Values(Count{0, 0}, Count{1, 1}, Count{510, 1},
                                                          Count{511, 1}, Count{512, 2},
                                                          Count{1022, 2}, Count{1023, 3}),
                                          testing::Values(0u, 1u)));

TEST_F(VmallocTest, WriteReportsItsErrors) {
  const auto blocks = MakeBlocks(2, 0);
  EXPECT_ERROR(Write(blocks, 31), ErrorCode::kOrderRange, 0u);
  const auto big = WriteVmalloc(machine_.memory, machine_.pages, {blocks.data(), uint64_t{1} << 32},
                                Order::FromLog2(0));
  EXPECT_ERROR(big, ErrorCode::kVmallocChain, 0u);
  EXPECT_EQ(big.error().found, uint64_t{1} << 32);
  EXPECT_ERROR(WriteVmalloc(machine_.memory, machine_.pages, {blocks.data(), uint64_t{1} << 13},
                            Order::FromLog2(19)),
               ErrorCode::kVmallocChain, 0u);
  // The last chunk is written first; the page for the one before it is no RAM.
  TestPages source(machine_.memory, {Addr(TestMachine::kEnd - kPageSize), 2 * kPageSize});
  const auto many = MakeBlocks(512, 0);
  EXPECT_ERROR(WriteVmalloc(machine_.memory, source, {many.data(), many.size()}, Order()),
               ErrorCode::kOutsideRam, TestMachine::kEnd);
  EXPECT_TRUE(source.out().empty());
}

TEST_F(VmallocTest, FailedAllocationLosesNoPage) {
  const auto blocks = MakeBlocks(1023, 0);
  const auto out_before = machine_.pages.out();
  for (uint64_t call = 0; call < 3; ++call) {
    machine_.pages.FailAt(call);
    EXPECT_ERROR(Write(blocks, 0), ErrorCode::kOutOfMemory, 0u);
    EXPECT_EQ(machine_.pages.out(), out_before);
  }
  machine_.pages.FailAt(3);
  EXPECT_TRUE(Write(blocks, 0).ok());
}

TEST_F(VmallocTest, PreserveTakesBackWhatItDid) {
  const auto refused = [this](const std::vector<PageFrame>& blocks, unsigned order, ErrorCode code,
                              uint64_t where) {
    const auto made = Write(blocks, order);
    ASSERT_OK(made);
    const auto before = TreeBlocks(machine_, tracker_.root());
    EXPECT_ERROR(Preserve(made.value()), code, where);
    EXPECT_EQ(TreeBlocks(machine_, tracker_.root()), before);
    EXPECT_EQ(tracker_.block_count(), before.size());
  };
  auto blocks = MakeBlocks(600, 0);
  const PageFrame good = blocks[550];
  blocks[550] = blocks[3];  // twice
  refused(blocks, 0, ErrorCode::kAlreadyPreserved, blocks[3].address().raw());
  blocks[550] = FrameAt(0x1000);
  refused(blocks, 0, ErrorCode::kOutsideRam, 0x1000);
  blocks[550] = good;
  ASSERT_OK(tracker_.Preserve({good, Order()}));
  refused(blocks, 0, ErrorCode::kAlreadyPreserved, good.address().raw());
  refused({FrameAt(kFree + kPageSize)}, 1, ErrorCode::kUnaligned, kFree + kPageSize);
  // A chunk that somebody has preserved.
  const auto made = Write(MakeBlocks(1, 0), 0);
  ASSERT_OK(made);
  ASSERT_OK(tracker_.Preserve(BlockAt(made.value().first, 0)));
  EXPECT_ERROR(Preserve(made.value()), ErrorCode::kAlreadyPreserved, made.value().first);
  EXPECT_EQ(tracker_.block_count(), 2u);
}

TEST(VmallocAllocationTest, EveryFailureLeavesNothingPreserved) {
  for (uint64_t call = 0;; ++call) {
    TestMachine machine;
    Tracker tracker = Tracker::Create(machine.memory, machine.pages).value();
    std::vector<PageFrame> blocks;
    for (uint64_t i = 0; i < 1100; ++i) blocks.push_back(FrameAt(kFree + i * 4 * kPageSize));
    const auto made = WriteVmalloc(machine.memory, machine.pages, {blocks.data(), blocks.size()},
                                   Order::FromLog2(1));
    ASSERT_OK(made);
    machine.pages.FailAt(call);
    const Status status = PreserveVmalloc(machine.memory, tracker, made.value());
    if (status.ok()) {
      EXPECT_EQ(call, 5u + 5u);  // nodes of order 0 for the chunks, of order 1 for the blocks
      return;
    }
    EXPECT_ERROR(status, ErrorCode::kOutOfMemory, 0u);
    EXPECT_TRUE(TreeBlocks(machine, tracker.root()).empty());
    EXPECT_EQ(tracker.block_count(), 0u);
  }
}

TEST_F(VmallocTest, ReadsTheEmptyChunkThatLinuxWritesAtTheEnd) {
  for (const auto& [counts, blocks] :
       {std::pair<std::vector<uint64_t>, size_t>{{511, 0}, 511}, {{511, 511, 0}, 1022}, {{0}, 0}}) {
    const abi::Vmalloc chain = MakeChain(counts);
    ASSERT_OK(Walk(chain));
    EXPECT_EQ(blocks_.size(), blocks);
    EXPECT_EQ(chunks_.size(), counts.size());
  }
}

TEST_F(VmallocTest, RefusesChainsThatDisagreeWithTheirCount) {
  abi::Vmalloc chain = MakeChain({511, 3});
  chain.total_pages = 513;
  const Status more = Walk(chain);
  EXPECT_ERROR(more, ErrorCode::kVmallocChain, ChunkAt(1));
  EXPECT_EQ(more.error().found, 514u);
  EXPECT_EQ(blocks_.size(), 513u);
  chain.total_pages = 515;
  const Status fewer = Walk(chain);
  EXPECT_ERROR(fewer, ErrorCode::kVmallocChain, ChunkAt(1));
  EXPECT_EQ(fewer.error().found, 514u);
  EXPECT_EQ(fewer.error().expected, 515u);
  chain.total_pages = 0;
  EXPECT_ERROR(Walk(chain), ErrorCode::kVmallocChain, ChunkAt(0));
  chain = {0, 1, 1, 0};
  EXPECT_ERROR(Walk(chain), ErrorCode::kVmallocChain, 0u);
  chain = {ChunkAt(0), 0xffffffff, 1, 0};
  EXPECT_ERROR(Walk(chain), ErrorCode::kVmallocChain, ChunkAt(0));
  EXPECT_TRUE(chunks_.empty());
  ASSERT_OK(Walk({0, 0, 1, 0}));
}

TEST_F(VmallocTest, RefusesPagesThatAreNoMultipleOfTheOrder) {
  abi::Vmalloc chain = MakeChain({1});
  chain.order = 2;
  chain.total_pages = 6;
  EXPECT_ERROR(Walk(chain), ErrorCode::kVmallocChain, ChunkAt(0));
  chain.total_pages = 4;
  ASSERT_OK(Walk(chain));
}

TEST_F(VmallocTest, RefusesCycles) {
  abi::Vmalloc chain = MakeChain({511, 511, 4});
  machine_.WriteU64(ChunkAt(1), ChunkAt(0));
  EXPECT_ERROR(Walk(chain), ErrorCode::kVmallocChain, ChunkAt(0));
  machine_.WriteU64(ChunkAt(1), ChunkAt(1));
  EXPECT_ERROR(Walk(chain), ErrorCode::kVmallocChain, ChunkAt(1));
  // One that would agree with its count.
  chain = MakeChain({511, 511, 511});
  machine_.WriteU64(ChunkAt(1), ChunkAt(0));
  EXPECT_ERROR(Walk(chain), ErrorCode::kVmallocChain, ChunkAt(1));
  // Chunks without blocks cannot make it go on for ever.
  chain = MakeChain({0, 0});
  EXPECT_ERROR(Walk(chain), ErrorCode::kVmallocChain, ChunkAt(1));
}

TEST_F(VmallocTest, RefusesAChunkBehindOneThatIsNotFull) {
  EXPECT_ERROR(Walk(MakeChain({510, 1})), ErrorCode::kVmallocChain, ChunkAt(1));
}

TEST_F(VmallocTest, RefusesAddresses) {
  abi::Vmalloc chain = MakeChain({511, 2});
  const auto refuse = [&](uint64_t slot, uint64_t value, ErrorCode code) {
    const uint64_t good = machine_.ReadU64(slot);
    machine_.WriteU64(slot, value);
    EXPECT_ERROR(Walk(chain), code, value);
    machine_.WriteU64(slot, good);
  };
  refuse(ChunkAt(0), ChunkAt(1) + 8, ErrorCode::kUnaligned);
  refuse(ChunkAt(0), TestMachine::kEnd, ErrorCode::kOutsideRam);
  refuse(ChunkAt(0) + 8 + 77 * 8, kFree + 1, ErrorCode::kUnaligned);
  refuse(ChunkAt(1) + 8, TestMachine::kBase - kPageSize, ErrorCode::kOutsideRam);
  ASSERT_OK(Walk(chain));
  const uint64_t first = chain.first;
  chain.first = first + 0x800;
  EXPECT_ERROR(Walk(chain), ErrorCode::kUnaligned, first + 0x800);
  chain.first = 0x1000;
  EXPECT_ERROR(Walk(chain), ErrorCode::kOutsideRam, 0x1000u);
  // Aligned to a page, but not to its order; in RAM, but not wholly.
  chain = MakeChain({1});
  chain.order = 3;
  chain.total_pages = 8;
  refuse(ChunkAt(0) + 8, kFree + kPageSize, ErrorCode::kUnaligned);
  chain.order = 12;
  chain.total_pages = 1 << 12;
  refuse(ChunkAt(0) + 8, TestMachine::kBase + (uint64_t{2} << 24), ErrorCode::kOutsideRam);
  chain.order = 31;
  EXPECT_ERROR(Walk(chain), ErrorCode::kOrderRange, ChunkAt(0));
  chain.order = 0xffff;
  EXPECT_ERROR(Walk(chain), ErrorCode::kOrderRange, ChunkAt(0));
}

TEST_F(VmallocTest, RefusesALargeBlockThatRamEndsInside) {
  abi::Vmalloc chain = MakeChain({1});
  chain.order = 12;
  chain.total_pages = 1 << 12;
  const uint64_t last = TestMachine::kEnd - (uint64_t{1} << 24);
  machine_.WriteU64(ChunkAt(0) + 8, last);
  ASSERT_OK(Walk(chain));
  PhysicalMemory cut;
  ASSERT_OK(cut.AddWindow({Addr(TestMachine::kBase), TestMachine::kSize - kPageSize},
                          machine_.At(TestMachine::kBase)));
  const auto pass_block = [](Block) -> Status { return Ok{}; };
  const auto pass_chunk = [](PageFrame) -> Status { return Ok{}; };
  EXPECT_ERROR(WalkVmalloc(cut, chain, pass_block, pass_chunk), ErrorCode::kOutsideRam, last);
}

TEST_F(VmallocTest, CallbacksEndTheWalk) {
  const abi::Vmalloc chain = MakeChain({511, 2});
  chunk_limit_ = 2;
  EXPECT_ERROR(Walk(chain), ErrorCode::kOverlap, ChunkAt(1));
  EXPECT_EQ(blocks_.size(), 511u);
  chunk_limit_ = 0;
  block_limit_ = 512;
  EXPECT_ERROR(Walk(chain), ErrorCode::kNotPreserved, kFree + 511 * kPageSize);
}

}  // namespace
}  // namespace khocore
