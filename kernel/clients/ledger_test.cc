// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/ledger.h"

#include <gtest/gtest.h>

#include <string>

#include "kernel/arch/exit.h"
#include "kernel/base/direct_map.h"
#include "kernel/base/format.h"
#include "kernel/clients/stores.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"

namespace clients {
namespace {

using handover::CodeOf;
using handover::Count;
using handover::Printed;
using handover::TestKernel;
using handover::TestRam;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() { stores = Stores(); }
  ~LedgerTest() override { stores = Stores(); }

  /// Preserves a block of zeros and returns where it begins.
  static PhysAddr Preserve(TestKernel& kernel, unsigned log2) {
    const auto block = kernel.memory.allocator.Allocate(Order::FromLog2(log2));
    EXPECT_TRUE(block.ok());
    EXPECT_TRUE(kernel.outgoing.tracker().Preserve({block.value(), Order::FromLog2(log2)}).ok());
    return block.value().address();
  }

  /// Writes the ledger and hands it over; `stores` is then empty, as in the next kernel.
  static PhysAddr HandOver(TestKernel& kernel) {
    Printed([&] { ASSERT_OK(WriteLedger(kernel.outgoing)); });
    EXPECT_TRUE(kernel.outgoing.Open().ok());
    EXPECT_TRUE(stores.Serialize(kernel.outgoing).ok());
    stores = Stores();
    return kernel.Close();
  }

  /// What the next kernel finds.
  static std::string Verify(TestRam& ram, PhysAddr root) {
    TestKernel second(ram, 2, root);
    const khocore::Status restored = stores.Restore(second.incoming);
    EXPECT_TRUE(restored.ok()) << khocore::Describe(restored);
    return Printed([&] { VerifyLedger(second.incoming); });
  }
};

TEST_F(LedgerTest, NoLedgerIsAFailure) {
  TestRam ram;
  TestKernel first(ram);
  first.Begin();
  TestKernel second(ram, 2, first.Close());
  EXPECT_EQ(Count(Printed([&] { VerifyLedger(second.incoming); }),
                  "the previous generation handed no ledger over"),
            1u);
}

TEST_F(LedgerTest, NamesThePageThatChanged) {
  for (const bool damaged : {false, true}) {
    stores = Stores();
    TestRam ram;
    TestKernel first(ram);
    first.BeginTracker(1);
    const PhysAddr page = Preserve(first, 4) + 15 * kPageSize;
    Preserve(first, 0);
    const uint64_t pages = first.outgoing.tracker().page_count();
    const PhysAddr root = HandOver(first);
    EXPECT_EQ(first.outgoing.ledger_pages, pages);
    if (damaged) base::Direct<uint8_t>(page)[kPageSize - 1] ^= 1;
    const std::string printed = Verify(ram, root);
    if (!damaged) {
      EXPECT_EQ(printed, "");
      continue;
    }
    char address[40];
    base::FormatTo(address, sizeof(address), "\"page\":\"0x%lx\"", page.raw());
    EXPECT_EQ(Count(printed, address), 1u) << printed;
    EXPECT_EQ(Count(printed, "\"ev\":\"mismatch\""), 1u) << printed;
    EXPECT_EQ(Count(printed, "1 preserved pages changed"), 1u) << printed;
  }
}

TEST_F(LedgerTest, CountsAllAndShowsSome) {
  TestRam ram;
  TestKernel first(ram);
  first.BeginTracker(1);
  const PhysAddr block = Preserve(first, 4);
  const PhysAddr root = HandOver(first);
  for (uint64_t i = 0; i < 11; ++i) *base::Direct<uint8_t>(block + i * kPageSize) = 1;
  const std::string printed = Verify(ram, root);
  EXPECT_EQ(Count(printed, "\"ev\":\"mismatch\""), 8u) << printed;
  EXPECT_EQ(Count(printed, "11 preserved pages changed"), 1u) << printed;
}

/// 511 pages of entries fill a chunk: 130,816 preserved pages, 511 MiB.
TEST_F(LedgerTest, GoesOnInASecondChunk) {
  TestRam ram(uint64_t{1100} << 20);
  TestKernel first(ram);
  first.BeginTracker(1);
  Preserve(first, 17);
  const PhysAddr last = Preserve(first, 0);
  const PhysAddr root = HandOver(first);
  EXPECT_GT(first.outgoing.ledger_pages, 511u * 256);
  *base::Direct<uint8_t>(last) = 1;
  const std::string printed = Verify(ram, root);
  EXPECT_EQ(Count(printed, "1 preserved pages changed"), 1u) << printed;
  const Stores::Store* const store = stores.Find(khocore::abi::kLedgerStore);
  EXPECT_GT(store->pages.total_pages, 511u);
}

TEST_F(LedgerTest, FreesThePreviousOne) {
  TestRam ram;
  TestKernel first(ram);
  first.BeginTracker(1);
  Preserve(first, 0);
  const PhysAddr root = HandOver(first);
  TestKernel second(ram, 2, root);
  ASSERT_OK(stores.Restore(second.incoming));
  const uint64_t free = second.memory.allocator.free_pages();
  ASSERT_OK(RemoveLedger(second.generation));
  EXPECT_EQ(second.memory.allocator.free_pages(), free + 2) << "a page of entries and a chunk";
  EXPECT_EQ(CodeOf(RemoveLedger(second.generation)), ErrorCode::kNotFound);
}

TEST_F(LedgerTest, AnEntryOutsideRamEndsTheRun) {
  TestRam ram;
  TestKernel first(ram);
  first.BeginTracker(1);
  Preserve(first, 0);
  Printed([&] { ASSERT_OK(WriteLedger(first.outgoing)); });
  ASSERT_OK(Stores::ForEachPage(first.memory.physical, *stores.Find(khocore::abi::kLedgerStore),
                                [&](PageFrame page, uint64_t) -> khocore::Status {
                                  *base::Direct<uint64_t>(page.address()) = ram.all.end().raw();
                                  return khocore::Ok{};
                                }));
  ASSERT_OK(first.outgoing.Open());
  ASSERT_OK(stores.Serialize(first.outgoing));
  stores = Stores();
  TestKernel second(ram, 2, first.Close());
  ASSERT_OK(stores.Restore(second.incoming));
  EXPECT_MACHINE_END(VerifyLedger(second.incoming), arch::ExitStatus::kFail, "outside-ram");
}

}  // namespace
}  // namespace clients
