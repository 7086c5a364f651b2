// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/testing/test_kernel.h"

#include <sys/mman.h>

#include <cstdlib>

#include "kernel/arch/testing/test_ram.h"
#include "kernel/base/direct_map.h"
#include "khocore/abi/scratch.h"

namespace handover {

using khocore::FrameState;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;

TestRam::TestRam(uint64_t size) : all{arch::TestRam::Range().begin, size} {
  void* const place = base::Direct<void>(all.begin);
  if (mmap(place, size, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != place) {
    std::abort();
  }
  EXPECT_TRUE(physical.AddWindow(all, place).ok());
  EXPECT_TRUE(scratch.Add({all.begin, khocore::abi::kScratchAlignment}).ok());
}

TestRam::~TestRam() { munmap(base::Direct<void>(all.begin), all.size); }

TestKernel::TestKernel(TestRam& ram, uint32_t generation_number)
    : frames_(PageFrame::Containing(ram.all.begin), ram.all.size / kPageSize),
      generation{.info = info,
                 .options = options,
                 .physical = memory.physical,
                 .scratch = memory.scratch,
                 .allocator = memory.allocator,
                 .random = base::Random(1)},
      incoming(generation, memory),
      outgoing(generation) {
  options.generation = generation_number;
  options.generations = generation_number + 1;
  memory.physical = ram.physical;
  memory.scratch = ram.scratch;
  memory.frames = std::move(frames_.table);
  EXPECT_TRUE(memory.frames.Fill(ram.all, FrameState::kFree).ok());
  EXPECT_TRUE(memory.frames.SetScratch(ram.scratch.area(0)).ok());
}

TestKernel::TestKernel(TestRam& ram) : TestKernel(ram, 1) {
  memory.allocator.Initialize(memory.physical, memory.frames, nodes);
}

TestKernel::TestKernel(TestRam& ram, uint32_t generation_number, PhysAddr root)
    : TestKernel(ram, generation_number) {
  const auto opened = khocore::Incoming::Open(memory.physical, root, memory.scratch, memory.frames);
  EXPECT_TRUE(opened.ok()) << khocore::Describe(opened);
  memory.has_incoming = opened.ok();
  if (opened.ok()) memory.incoming = opened.value();
  memory.allocator.Initialize(memory.physical, memory.frames, nodes);
}

void TestKernel::BeginTracker(size_t final_pages) {
  const auto begun = outgoing.Begin(memory.allocator, Outgoing::kFinalPages + final_pages);
  EXPECT_TRUE(begun.ok()) << khocore::Describe(begun);
}

void TestKernel::Begin(size_t final_pages) {
  BeginTracker(final_pages);
  const auto opened = outgoing.Open();
  EXPECT_TRUE(opened.ok()) << khocore::Describe(opened);
}

PhysAddr TestKernel::Close() {
  const auto closed = outgoing.Close();
  EXPECT_TRUE(closed.ok()) << khocore::Describe(closed);
  return outgoing.root().address();
}

uint8_t* TestKernel::PreservePage() {
  const auto page = memory.allocator.AllocatePage();
  EXPECT_TRUE(page.ok()) << khocore::Describe(page);
  if (!page.ok()) std::abort();
  const auto preserved = outgoing.tracker().Preserve({page.value(), Order()});
  EXPECT_TRUE(preserved.ok()) << khocore::Describe(preserved);
  return base::Direct<uint8_t>(page.value().address());
}

}  // namespace handover
