// SPDX-License-Identifier: BSD-3-Clause
//
// The numbers are put together here by the letter of the ABI, not taken from `abi/geometry.h`.
#include "khocore/page_size.h"

#include <gtest/gtest.h>
#include <libfdt.h>
#include <string.h>

#include "khocore/abi/handover.h"
#include "khocore/testing/test_handover.h"

namespace khocore {
namespace {

constexpr uint64_t kLargest = 64 << 10;
constexpr uint64_t kRoot = AlignUp(TestMachine::kFree, kLargest);
constexpr uint64_t kNodes = kRoot + kLargest;

uint64_t NodeOf(unsigned level) { return kNodes + level * kLargest; }

void PutU64(TestMachine& machine, uint64_t address, uint64_t value) {
  memcpy(machine.At(address), &value, sizeof(value));
}

/// A root and the tree with its page, as a kernel with pages of 2^`shift` bytes writes them. The
/// bit of the page is returned.
uint8_t* WriteHandover(TestMachine& machine, unsigned shift, uint64_t map) {
  memset(machine.At(kRoot), 0, 8 * kLargest);
  void* const fdt = machine.At(kRoot);
  EXPECT_EQ(fdt_create(fdt, 1 << shift), 0);
  EXPECT_EQ(fdt_finish_reservemap(fdt), 0);
  EXPECT_EQ(fdt_begin_node(fdt, ""), 0);
  EXPECT_EQ(fdt_property(fdt, abi::kMemoryMapProperty, &map, sizeof(map)), 0);
  EXPECT_EQ(fdt_end_node(fdt), 0);
  EXPECT_EQ(fdt_finish(fdt), 0);
  const unsigned levels = shift == 12 ? 6 : shift == 14 ? 5 : 4;
  const uint64_t page = uint64_t{1} << shift;
  const uint64_t key = uint64_t{1} << (64 - shift) | kRoot >> shift;
  for (unsigned level = levels - 1; level > 0; --level) {
    const unsigned bits = (level - 1) * (shift - 3) + shift + 3;
    PutU64(machine, NodeOf(level) + (key >> bits) % (page / 8) * 8, NodeOf(level - 1));
  }
  uint8_t* const bits = machine.At(NodeOf(0)) + key % (page * 8) / 8;
  *bits = static_cast<uint8_t>(1 << key % 8);
  return bits;
}

constexpr unsigned kShifts[] = {12, 14, 16};

TEST(PageSize, IsThatOfTheTreeWithTheRoot) {
  for (const unsigned shift : kShifts) {
    TestMachine machine;
    const uint64_t map = NodeOf(shift == 12 ? 5 : shift == 14 ? 4 : 3);
    uint8_t* const bits = WriteHandover(machine, shift, map);
    const Status status = CheckPageSize(machine.memory, Addr(kRoot));
    if (shift == kPageShift) {
      EXPECT_TRUE(status.ok());
    } else {
      EXPECT_ERROR(status, ErrorCode::kPageSize, kRoot);
      EXPECT_EQ(status.error().found, uint64_t{1} << shift);
      EXPECT_EQ(status.error().expected, kPageSize);
    }
    *bits = 0;
    EXPECT_TRUE(CheckPageSize(machine.memory, Addr(kRoot)).ok()) << "nothing tells it";
  }
}

TEST(PageSize, IsTheLibrarysOwnInWhatItWrote) {
  TestHandover handover;
  AddSampleClients(handover);
  EXPECT_TRUE(CheckPageSize(handover.machine.memory, Addr(handover.root())).ok());
}

TEST(PageSize, IsNotLookedForWhereNothingIs) {
  TestMachine machine;
  const uint64_t maps[] = {0, 1, TestMachine::kBase - kLargest, TestMachine::kEnd, ~uint64_t{0}};
  for (const unsigned shift : kShifts) {
    for (const uint64_t map : maps) {
      WriteHandover(machine, shift, map);
      EXPECT_TRUE(CheckPageSize(machine.memory, Addr(kRoot)).ok()) << map;
    }
  }
  memset(machine.At(kRoot), 0xff, kLargest);
  for (const uint64_t root : {kRoot, kRoot + 1, uint64_t{0}, TestMachine::kEnd - 8, ~uint64_t{0}}) {
    EXPECT_TRUE(CheckPageSize(machine.memory, Addr(root)).ok()) << root;
  }
}

}  // namespace
}  // namespace khocore
