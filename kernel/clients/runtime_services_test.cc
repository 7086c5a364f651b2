// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/runtime_services.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>
#include <vector>

#include "kernel/base/direct_map.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"

namespace clients {
namespace {

using base::MemoryType;
using handover::CodeOf;
using handover::Count;
using handover::Printed;
using handover::TestKernel;
using handover::TestRam;
using khocore::ErrorCode;
using khocore::FragmentWriter;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::abi::RuntimeRegion;

class RuntimeServicesTest : public testing::Test {
 protected:
  /// The last pages of RAM, from the end on.
  PhysRange Region(uint64_t number, uint64_t pages = 1) const {
    return {ram_.all.end() + (0 - (number + pages) * kPageSize), pages * kPageSize};
  }

  static void AddToMap(TestKernel& kernel, PhysRange range, MemoryType type) {
    kernel.info.regions[kernel.info.region_count++] = {range, type};
  }

  PhysAddr HandOver(const RuntimeServices& services) {
    first_.Begin(1);
    EXPECT_TRUE(services.Serialize(first_.outgoing).ok());
    return first_.Close();
  }

  /// Restores another kernel's record of these bytes.
  ErrorCode RestoreOf(const std::vector<uint8_t>& bytes) {
    TestKernel first(ram_);
    first.Begin();
    const PhysRange record =
        first.WriteFragment(khocore::abi::kRuntimeServicesCompatible, [&](FragmentWriter& writer) {
          (void)writer.Property("regions", {bytes.data(), bytes.size()});
        });
    EXPECT_TRUE(first.outgoing.AddLink("runtime-services", record).ok());
    TestKernel second(ram_, 2, first.Close());
    RuntimeServices restored;
    return CodeOf(restored.Restore(second.incoming));
  }

  TestRam ram_;
  TestKernel first_{ram_};
};

TEST_F(RuntimeServicesTest, RecordsAndReportsTheRegions) {
  AddToMap(first_, {ram_.all.begin, ram_.all.size}, MemoryType::kRam);
  AddToMap(first_, Region(0), MemoryType::kRuntimeServices);
  AddToMap(first_, Region(2, 3), MemoryType::kRuntimeServices);
  RuntimeServices recorded;
  const std::string printed = Printed([&] { recorded.Record(first_.generation); });
  EXPECT_EQ(Count(printed, "\"ev\":\"firmware\""), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"0x1000\""), 1u) << printed;
  EXPECT_EQ(Count(printed, "\"0x3000\""), 1u) << printed;
}

TEST_F(RuntimeServicesTest, FindsTheSameBytesAgain) {
  // What a second kernel finds when its map has the first region, and the last byte has changed.
  const auto verify = [&](bool in_map, bool changed) {
    TestKernel first(ram_);
    AddToMap(first, Region(0), MemoryType::kRuntimeServices);
    AddToMap(first, Region(2, 3), MemoryType::kRuntimeServices);
    RuntimeServices recorded;
    Printed([&] { recorded.Record(first.generation); });
    first.Begin(1);
    EXPECT_TRUE(recorded.Serialize(first.outgoing).ok());
    TestKernel second(ram_, 2, first.Close());
    if (in_map) AddToMap(second, Region(0), MemoryType::kRuntimeServices);
    AddToMap(second, Region(2, 3), MemoryType::kRuntimeServices);
    if (changed) base::Direct<uint8_t>(Region(2, 3).begin)[3 * kPageSize - 1] ^= 1;
    RuntimeServices restored;
    EXPECT_TRUE(restored.Restore(second.incoming).ok());
    return Printed([&] { restored.Verify(second.incoming); });
  };
  EXPECT_EQ(Count(verify(true, false), "\"ev\":\"fail\""), 0u);
  EXPECT_EQ(Count(verify(false, false), "the memory map has lost the region"), 1u);
  const std::string printed = verify(true, true);
  EXPECT_EQ(Count(printed, "\"ev\":\"fail\""), 1u) << printed;
  EXPECT_EQ(Count(printed, "with 0x3000 bytes was written to"), 1u) << printed;
}

TEST_F(RuntimeServicesTest, ARegionOfAnotherTypeIsLost) {
  AddToMap(first_, Region(0), MemoryType::kRuntimeServices);
  RuntimeServices recorded;
  Printed([&] { recorded.Record(first_.generation); });
  TestKernel second(ram_, 2, HandOver(recorded));
  AddToMap(second, Region(0), MemoryType::kRam);
  RuntimeServices restored;
  ASSERT_OK(restored.Restore(second.incoming));
  EXPECT_EQ(Count(Printed([&] { restored.Verify(second.incoming); }), "has lost"), 1u);
}

TEST_F(RuntimeServicesTest, ReportsWhatItCannotWatch) {
  for (uint64_t i = 0; i < RuntimeServices::kMaxRegions + 1; ++i) {
    AddToMap(first_, Region(i), MemoryType::kRuntimeServices);
  }
  RuntimeServices recorded;
  const std::string said = Printed([&] { recorded.Record(first_.generation); });
  EXPECT_EQ(Count(said, "more than 128 regions"), 1u);
  TestKernel second(ram_, 2, HandOver(recorded));
  RuntimeServices restored;
  EXPECT_TRUE(restored.Restore(second.incoming).ok()) << "as many as it records";
}

TEST_F(RuntimeServicesTest, NoFirmwareIsNoRecord) {
  RuntimeServices none;
  EXPECT_EQ(Printed([&] { none.Record(first_.generation); }), "");
  TestKernel second(ram_, 2, HandOver(none));
  RuntimeServices restored;
  // There is no khorig fragment at all.
  EXPECT_TRUE(restored.Restore(second.incoming).ok());
}

TEST_F(RuntimeServicesTest, RefusesRecordsOfOtherSizes) {
  constexpr size_t kMost = RuntimeServices::kMaxRegions * sizeof(RuntimeRegion);
  EXPECT_EQ(RestoreOf(std::vector<uint8_t>(sizeof(RuntimeRegion))), ErrorCode::kCount);
  EXPECT_EQ(RestoreOf(std::vector<uint8_t>(sizeof(RuntimeRegion) - 1)), ErrorCode::kPropertySize);
  EXPECT_EQ(RestoreOf(std::vector<uint8_t>(kMost)), ErrorCode::kCount);
  EXPECT_EQ(RestoreOf(std::vector<uint8_t>(kMost + sizeof(RuntimeRegion))),
            ErrorCode::kPropertySize);
}

/// Another kernel may say anything; only what the memory map has, too, is read.
TEST_F(RuntimeServicesTest, ReadsNoRegionThatTheMapDoesNotHave) {
  first_.Begin();
  const RuntimeRegion bad[] = {{~uint64_t{0} - 8, 16, 0}, {0, ~uint64_t{0}, 0}};
  const PhysRange record =
      first_.WriteFragment(khocore::abi::kRuntimeServicesCompatible, [&](FragmentWriter& writer) {
        (void)writer.Property("regions", {reinterpret_cast<const uint8_t*>(bad), sizeof(bad)});
      });
  ASSERT_OK(first_.outgoing.AddLink("runtime-services", record));
  TestKernel second(ram_, 2, first_.Close());
  RuntimeServices restored;
  ASSERT_OK(restored.Restore(second.incoming));
  EXPECT_EQ(Count(Printed([&] { restored.Verify(second.incoming); }), "has lost the region"), 2u);
}

}  // namespace
}  // namespace clients
