// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "kernel/arch/testing/test_ram.h"
#include "kernel/memory/memory.h"
#include "khocore/types.h"

namespace memory {

inline constexpr uint64_t kMiB = uint64_t{1} << 20;

/// `size` bytes of RAM, `offset` bytes behind its begin.
inline khocore::PhysRange Part(uint64_t offset, uint64_t size) {
  return {arch::TestRam::Range().begin + offset, size};
}

/// A machine of 192 MiB with the boot information of a kernel, whose memory it sets up.
class MemoryTest : public testing::Test {
 protected:
  MemoryTest();

  void Add(khocore::PhysRange range, base::MemoryType type) {
    info_->regions[info_->region_count++] = {range, type};
  }
  void OnlyRegions() { info_->region_count = 0; }
  void Start(Memory* memory) { SetUpMemory(*info_, options_, memory); }

  arch::TestRam ram_;
  std::unique_ptr<base::BootInfo> info_ = std::make_unique<base::BootInfo>();
  rig::Options options_;
};

/// How many frames of `range` are in this state.
uint64_t Count(const Memory& memory, khocore::PhysRange range, khocore::FrameState state);

/// Expects that what is in use is marked so, that scratch and the allocator's pages are apart, and
/// that no page is lost.
void ExpectSound(const Memory& memory, const base::BootInfo& info);

}  // namespace memory
