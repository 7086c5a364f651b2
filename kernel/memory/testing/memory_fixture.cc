// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/testing/memory_fixture.h"

namespace memory {

using khocore::FrameState;
using khocore::kPageSize;
using khocore::PageFrame;
using khocore::PhysRange;

MemoryTest::MemoryTest() {
  Add(arch::TestRam::Range(), base::MemoryType::kRam);
  info_->image = Part(1 * kMiB + 0x800, 0x2000);
  info_->initrd = Part(20 * kMiB, 0x3001);
  info_->device_tree = Part(30 * kMiB, 0x100);
  info_->keep[info_->keep_count++] = Part(100 * kMiB, kPageSize);
}

uint64_t Count(const Memory& memory, PhysRange range, FrameState state) {
  uint64_t count = 0;
  const PageFrame first = PageFrame::Containing(range.begin);
  for (uint64_t i = 0; i < range.size / kPageSize; ++i) {
    count += memory.frames.state(first + i) == state;
  }
  return count;
}

void ExpectSound(const Memory& memory, const base::BootInfo& info) {
  const PhysRange used[] = {info.image, info.initrd, info.device_tree, info.keep[0]};
  for (const PhysRange& range : used) {
    const PhysRange pages = khocore::WholePages(range);
    EXPECT_EQ(Count(memory, pages, FrameState::kAllocated), pages.size / kPageSize)
        << std::hex << range.begin.raw();
  }
  uint64_t free = 0;
  uint64_t in_scratch = 0;
  for (PageFrame at = memory.frames.first(); at < memory.frames.end(); at = at + 1) {
    const bool scratch = memory.scratch.Overlaps({at.address(), kPageSize});
    ASSERT_EQ(memory.frames.in_scratch(at), scratch) << std::hex << at.address().raw();
    in_scratch += scratch;
    free += !scratch && memory.frames.state(at) == FrameState::kFree;
  }
  EXPECT_EQ(in_scratch, memory.scratch.bytes() / kPageSize);
  EXPECT_EQ(free, memory.allocator.free_pages());
  EXPECT_EQ(memory.frames.missing_pages(), 0u);
}

}  // namespace memory
