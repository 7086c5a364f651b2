// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kernel/base/boot_info.h"
#include "kernel/handover/client.h"
#include "kernel/memory/memory.h"
#include "kernel/rig/options.h"
#include "khocore/fragment_writer.h"
#include "khocore/testing/test_machine.h"

namespace handover {

/// RAM of any size where `arch::TestRam` has it, one at a time. Scratch is its first
/// part. Pages that nobody has written cost nothing.
class TestRam {
 public:
  explicit TestRam(uint64_t size = uint64_t{32} << 20);
  ~TestRam();
  TestRam(const TestRam&) = delete;
  TestRam& operator=(const TestRam&) = delete;

  khocore::PhysRange all;
  khocore::PhysicalMemory physical;
  khocore::Scratch scratch;
};

/// One generation on a `TestRam`, without the course: a test calls the steps of the clients that it
/// is about. What came is checked and claimed as at the boot of the kernel.
class TestKernel {
 public:
  /// The first generation: a cold boot.
  explicit TestKernel(TestRam& ram);
  /// A later one, with what was handed over at `root`. It may overwrite the nodes of the tracker,
  /// as every kernel may: nobody can open the same root again.
  TestKernel(TestRam& ram, uint32_t generation_number, khocore::PhysAddr root);
  TestKernel(const TestKernel&) = delete;
  TestKernel& operator=(const TestKernel&) = delete;

  /// Whether the handover passed the gate; a cold boot else.
  bool has_incoming() const { return memory.has_incoming; }

  /// Starts the tracker, with `final_pages` pages for the last step besides those of the root and
  /// of the `khorig` fragment.
  void BeginTracker(size_t final_pages = 0);
  /// As `BeginTracker`, and makes the root.
  void Begin(size_t final_pages = 0);
  /// Ends the last step and returns the root.
  khocore::PhysAddr Close();

  /// Allocates a page, preserves it and returns its bytes.
  uint8_t* PreservePage();
  /// Fills a fragment by `fill(writer)` and preserves it. Its pages come from the allocator, so it
  /// may be written at any time after `Begin`.
  template <typename Fill>
  khocore::PhysRange WriteFragment(const char* compatible, Fill fill);

 private:
  TestKernel(TestRam& ram, uint32_t generation_number);
  khocore::TestFrames frames_;

 public:
  rig::Options options;
  base::BootInfo info = {};
  base::NodeMap nodes;
  memory::Memory memory;
  Generation generation;
  Incoming incoming;
  Outgoing outgoing;
};

template <typename Fill>
khocore::PhysRange TestKernel::WriteFragment(const char* compatible, Fill fill) {
  khocore::FragmentWriter writer(memory.physical, memory.allocator, outgoing.tracker(), compatible);
  fill(writer);
  const auto page = writer.Close();
  EXPECT_TRUE(page.ok()) << khocore::Describe(page);
  return {page.ok() ? page.value().address() : khocore::PhysAddr(), khocore::kPageSize};
}

/// The error of a step that must fail.
inline khocore::ErrorCode CodeOf(const khocore::Status& status) {
  return status.ok() ? khocore::ErrorCode::kCount : status.error().code;
}

}  // namespace handover
