// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/test_machine.h"

#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>

#include "khocore/radix_walk.h"

namespace khocore {
namespace {

constexpr size_t kGuard = kPageSize;

}  // namespace

TestPages::TestPages(const PhysicalMemory& memory, PhysRange range) : memory_(memory) {
  for (uint64_t at = 0; at < range.size; at += kPageSize) {
    free_.insert(PageFrame::Containing(range.begin + at).number());
  }
}

Result<PageFrame> TestPages::AllocatePage() {
  if (left_ == 0 || free_.empty()) return Error{ErrorCode::kOutOfMemory, PhysAddr()};
  --left_;
  const PageFrame page = PageFrame::FromNumber(*free_.begin());
  free_.erase(free_.begin());
  out_.insert(page.number());
  void* bytes = memory_.Find({page.address(), kPageSize});
  if (bytes != nullptr) memset(bytes, 0, kPageSize);
  return page;
}

void TestPages::FreePage(PageFrame page) {
  if (out_.erase(page.number()) == 0) {
    ADD_FAILURE() << "page " << page.number() << " was given back but is not out";
    return;
  }
  free_.insert(page.number());
  void* bytes = memory_.Find({page.address(), kPageSize});
  if (bytes != nullptr) memset(bytes, 0xdd, kPageSize);
}

TestMachine::TestMachine()
    : mapping_(static_cast<uint8_t*>(mmap(nullptr, kSize + 2 * kGuard, PROT_NONE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
      pages(memory, {Addr(kPages), kEnd - kPages}) {
  if (mapping_ == MAP_FAILED || mprotect(mapping_ + kGuard, kSize, PROT_READ | PROT_WRITE) != 0 ||
      !memory.AddWindow({Addr(kBase), kSize}, mapping_ + kGuard).ok() ||
      !scratch.Add({Addr(kBase), kScratchSize}).ok()) {
    abort();
  }
}

TestMachine::~TestMachine() { munmap(mapping_, kSize + 2 * kGuard); }

uint8_t* TestMachine::At(uint64_t address) { return mapping_ + kGuard + (address - kBase); }

uint64_t TestMachine::ReadU64(uint64_t address) {
  uint64_t value;
  memcpy(&value, At(address), sizeof(value));
  return value;
}

void TestMachine::WriteU64(uint64_t address, uint64_t value) {
  memcpy(At(address), &value, sizeof(value));
}

std::string TestMachine::Page(uint64_t address) {
  return std::string(reinterpret_cast<const char*>(At(address)), kPageSize);
}

void TestMachine::Freeze() { ASSERT_EQ(mprotect(mapping_ + kGuard, kSize, PROT_READ), 0); }

void TestMachine::Thaw() {
  ASSERT_EQ(mprotect(mapping_ + kGuard, kSize, PROT_READ | PROT_WRITE), 0);
}

TestFrames::TestFrames(PageFrame first, uint64_t count)
    : directory_(FrameTable::DirectoryBytes(first, count) / sizeof(uint64_t), ~uint64_t{0}),
      pages_((FrameTable::ChunkCount(first, count) + 1) * kPageSize, 0xff) {
  table = FrameTable(first, count, directory_.data());
  const uint64_t unaligned = reinterpret_cast<uint64_t>(pages_.data());
  table.AddPages({pages_.data() + (AlignUp(unaligned, kPageSize) - unaligned),
                  table.chunk_count() * kPageSize});
}

std::vector<uint8_t> BytesOf(const FrameTable& frames, PageFrame first, uint64_t count) {
  std::vector<uint8_t> bytes;
  bytes.reserve(count);
  for (uint64_t i = 0; i < count; ++i) bytes.push_back(frames.Byte(first + i));
  return bytes;
}

uint64_t CountFrames(const FrameTable& frames, FrameState state) {
  uint64_t count = 0;
  for (uint64_t i = 0; i < frames.size(); ++i) count += frames.state(frames.first() + i) == state;
  return count;
}

FrameTable& TestMachine::NewFrames() {
  frames_.push_back(std::make_unique<TestFrames>(FrameAt(kBase), kSize / kPageSize));
  FrameTable& frames = frames_.back()->table;
  for (uint64_t at = kBase; at < kEnd; at += kPageSize) {
    EXPECT_TRUE(frames.Set(BlockAt(at, 0), FrameState::kFree).ok());
  }
  EXPECT_TRUE(frames.SetScratch({Addr(kBase), kScratchSize}).ok());
  return frames;
}

std::map<uint64_t, std::string> TreePages(TestMachine& machine, PageFrame root) {
  std::map<uint64_t, std::string> found;
  const auto node = [&](PageFrame page, unsigned) -> Status {
    const uint64_t address = page.address().raw();
    EXPECT_TRUE(found.emplace(address, machine.Page(address)).second) << "node reached twice";
    return Ok{};
  };
  const auto block = [](Block) -> Status { return Ok{}; };
  EXPECT_TRUE(WalkRadix(machine.memory, root.address(), {node, block}).ok());
  return found;
}

std::vector<Block> TreeBlocks(TestMachine& machine, PageFrame root) {
  std::vector<Block> found;
  const auto node = [](PageFrame, unsigned) -> Status { return Ok{}; };
  const auto block = [&](Block b) -> Status {
    found.push_back(b);
    return Ok{};
  };
  EXPECT_TRUE(WalkRadix(machine.memory, root.address(), {node, block}).ok());
  return found;
}

std::string Describe(const Error& error) {
  char text[160];
  snprintf(text, sizeof(text), "%s at 0x%lx: found 0x%lx, expected 0x%lx", ErrorName(error.code),
           error.where.raw(), error.found, error.expected);
  return text;
}

}  // namespace khocore
