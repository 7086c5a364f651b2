// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/memory.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernel/arch/testing/test_boot.h"
#include "kernel/memory/testing/memory_fixture.h"
#include "khocore/abi/scratch.h"

namespace memory {
namespace {

using arch::Boot;
using base::BootInfo;
using base::MemoryType;
using khocore::FrameState;
using khocore::kPageSize;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;

const PhysRange kRam = arch::TestRam::Range();

std::vector<PhysRange> Windows(const Memory& memory) {
  std::vector<PhysRange> windows;
  for (size_t i = 0; i < memory.physical.window_count(); ++i) {
    windows.push_back(memory.physical.window(i));
  }
  return windows;
}

TEST_F(MemoryTest, AColdBootLaysOutScratchBesideWhatIsInUse) {
  Boot([&] {
    Memory memory;
    Start(&memory);
    EXPECT_FALSE(memory.has_incoming);
    EXPECT_EQ(memory.ram_bytes, kRam.size);
    EXPECT_EQ(Windows(memory), std::vector<PhysRange>{kRam});
    ExpectSound(memory, *info_);
    // No machine here has memory below 4 GiB, so all three lie where there is room first.
    ASSERT_EQ(memory.scratch.area_count(), 3u);
    EXPECT_EQ(memory.scratch.area(0), Part(4 * kMiB, 12 * kMiB));  // a sixteenth
    EXPECT_EQ(memory.scratch.area(1), Part(32 * kMiB, 8 * kMiB));  // a thirty-second, aligned
    EXPECT_EQ(memory.scratch.area(2), Part(40 * kMiB, 8 * kMiB));
    // All but what is in use, the frame table and its directory is free.
    EXPECT_EQ(Count(memory, kRam, FrameState::kAllocated),
              3 + 4 + 1 + 1 + memory.frames.chunk_count() + 1);
    EXPECT_EQ(Count(memory, kRam, FrameState::kNotRam), 0u);
  });
}

TEST_F(MemoryTest, ScratchHasTheSizesOfTheCommandLine) {
  options_.scratch_sizes[0] = 1;
  options_.scratch_sizes[1] = khocore::abi::kScratchAlignment;
  options_.scratch_sizes[2] = khocore::abi::kScratchAlignment + 1;
  Boot([&] {
    Memory memory;
    Start(&memory);
    ASSERT_EQ(memory.scratch.area_count(), 3u);
    EXPECT_EQ(memory.scratch.area(0).size, khocore::abi::kScratchAlignment);
    EXPECT_EQ(memory.scratch.area(1).size, khocore::abi::kScratchAlignment);
    EXPECT_EQ(memory.scratch.area(2).size, 2 * khocore::abi::kScratchAlignment);
    ExpectSound(memory, *info_);
  });
}

TEST_F(MemoryTest, ScratchOfASmallMachineHasALeastSize) {
  OnlyRegions();
  Add(Part(0, 64 * kMiB), MemoryType::kRam);
  info_->keep_count = 0;
  Boot([&] {
    Memory memory;
    Start(&memory);
    ASSERT_EQ(memory.scratch.area_count(), 3u);
    EXPECT_EQ(memory.scratch.area(0).size, 8 * kMiB);
    EXPECT_EQ(memory.scratch.area(1).size, 4 * kMiB);
    EXPECT_EQ(memory.scratch.area(2).size, 4 * kMiB);
  });
}

TEST_F(MemoryTest, ScratchThatDoesNotFitEndsTheMachine) {
  Memory memory;
  for (const uint64_t size : {kRam.size, ~uint64_t{0} - 1, ~uint64_t{0}}) {
    options_.scratch_sizes[1] = size;
    EXPECT_ENDS(Start(&memory), kNoMemory, "no room for the global scratch area");
  }
}

TEST_F(MemoryTest, OnlyWholePagesAreRam) {
  OnlyRegions();
  Add(Part(1, 64 * kMiB), MemoryType::kRam);
  Add(Part(128 * kMiB, 2 * kPageSize - 1), MemoryType::kRam);
  Add(Part(129 * kMiB + 1, kPageSize), MemoryType::kRam);  // no page is wholly RAM
  Boot([&] {
    Memory memory;
    Start(&memory);
    EXPECT_EQ(Windows(memory), (std::vector<PhysRange>{Part(kPageSize, 64 * kMiB - kPageSize),
                                                       Part(128 * kMiB, kPageSize)}));
    EXPECT_EQ(memory.ram_bytes, 64 * kMiB);
    EXPECT_EQ(memory.frames.first(), PageFrame::Containing(kRam.begin + kPageSize));
    EXPECT_EQ(memory.frames.end(), PageFrame::Containing(kRam.begin + 128 * kMiB) + 1);
    EXPECT_EQ(Count(memory, Part(64 * kMiB, 64 * kMiB), FrameState::kNotRam),
              64 * kMiB / kPageSize);
  });
}

TEST_F(MemoryTest, ReservedPiecesAreNoRam) {
  Add(Part(64 * kMiB + 1, 1), MemoryType::kReserved);
  Add(Part(64 * kMiB + kPageSize, kPageSize), MemoryType::kAcpi);
  Add(Part(60 * kMiB, 8 * kMiB), MemoryType::kRam);  // said twice, and after the reservation
  Boot([&] {
    Memory memory;
    Start(&memory);
    const uint64_t hole = 64 * kMiB + 2 * kPageSize;
    EXPECT_EQ(Windows(memory),
              (std::vector<PhysRange>{Part(0, 64 * kMiB), Part(hole, kRam.size - hole)}));
    EXPECT_EQ(memory.ram_bytes, kRam.size - 2 * kPageSize);
    EXPECT_EQ(Count(memory, Part(64 * kMiB, 2 * kPageSize), FrameState::kNotRam), 2u);
    ExpectSound(memory, *info_);
  });
}

TEST_F(MemoryTest, EntriesAtTheEndOfTheAddressSpaceAddNothing) {
  const PhysAddr last = PhysAddr::FromRaw(~uint64_t{0x7ff});
  Add({last, 0x100}, MemoryType::kRam);
  Add({last, ~uint64_t{0}}, MemoryType::kRam);
  Add({PhysAddr::FromRaw(~uint64_t{0}), 1}, MemoryType::kRam);
  Add({kRam.begin, ~uint64_t{0}}, MemoryType::kRam);  // wraps, so it says nothing
  Boot([&] {
    Memory memory;
    Start(&memory);
    EXPECT_EQ(Windows(memory), std::vector<PhysRange>{kRam});
    ExpectSound(memory, *info_);
  });
}

TEST_F(MemoryTest, AReservationThatWrapsReservesTheRest) {
  Add({kRam.begin + 128 * kMiB, ~uint64_t{0}}, MemoryType::kReserved);
  Boot([&] {
    Memory memory;
    Start(&memory);
    EXPECT_EQ(Windows(memory), std::vector<PhysRange>{Part(0, 128 * kMiB)});
  });
}

TEST_F(MemoryTest, RamThatCannotBeMappedIsLeftOutAlone) {
  OnlyRegions();
  Add({PhysAddr::FromRaw(kPageSize), kMiB}, MemoryType::kRam);  // no RAM of this machine
  Add({kRam.begin, kRam.size + 64 * kMiB}, MemoryType::kRam);
  Boot([&] {
    Memory memory;
    Start(&memory);
    EXPECT_EQ(Windows(memory), std::vector<PhysRange>{kRam}) << "what could be mapped was dropped";
    EXPECT_EQ(memory.ram_bytes, kRam.size);
    ExpectSound(memory, *info_);
  });
  EXPECT_ENDS(
      {
        Memory memory;
        Start(&memory);
        _exit(static_cast<int>(arch::ExitStatus::kPass));
      },
      kPass, "unused-ram.*\"0x1000\".*\"0x100000\"(.|\n)*unused-ram.*\"0x4000000\"");
}

TEST_F(MemoryTest, AMachineWithoutRamEnds) {
  Memory memory;
  OnlyRegions();
  EXPECT_ENDS(Start(&memory), kNoMemory, "names no usable RAM");
  Add({PhysAddr::FromRaw(kPageSize), kMiB}, MemoryType::kRam);
  EXPECT_ENDS(Start(&memory), kNoMemory, "names no usable RAM");
  Add(kRam, MemoryType::kRam);
  Add({PhysAddr(), ~uint64_t{0}}, MemoryType::kReserved);
  EXPECT_ENDS(Start(&memory), kNoMemory, "names no usable RAM");
}

TEST_F(MemoryTest, AsManyPiecesAsTheProtocolHas) {
  while (info_->region_count < BootInfo::kMaxRegions) {
    Add(Part(64 * kMiB + 2 * kPageSize * info_->region_count, kPageSize), MemoryType::kReserved);
  }
  Boot([&] {
    Memory memory;
    Start(&memory);
    EXPECT_EQ(memory.physical.window_count(), BootInfo::kMaxRegions);
    EXPECT_EQ(memory.ram_bytes, kRam.size - (BootInfo::kMaxRegions - 1) * kPageSize);
    ExpectSound(memory, *info_);
  });
}

}  // namespace
}  // namespace memory
