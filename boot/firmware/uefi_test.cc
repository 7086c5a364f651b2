// SPDX-License-Identifier: BSD-3-Clause
#include "boot/firmware/uefi.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "kernel/base/testing/fake_memory.h"

namespace boot {
namespace {

using base::BootInfo;
using base::MemoryType;
using khocore::PhysAddr;

constexpr uint64_t kBase = 0x140000000;
constexpr uint64_t kSize = 1 << 20;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kMap = kBase + 0x800;
constexpr uint64_t kServices = kBase + 64 * kPage;
constexpr uint64_t kSystem = kServices + 0x18;
constexpr uint64_t kArray = kServices + kPage;
constexpr uint64_t kVirtual = 0xfffffffef0000000;
constexpr uint64_t kRuntime = uint64_t{1} << 63;
constexpr uint64_t kStep = 48;  // of descriptors, more than the structure

using Region = std::tuple<uint64_t, uint64_t, MemoryType>;  // in pages from the first

class TakeFirmwareTest : public testing::Test {
 protected:
  TakeFirmwareTest() {
    info_->regions[0] = {{PhysAddr::FromRaw(kBase), kSize}, MemoryType::kRam};
    info_->region_count = 1;
    info_->firmware.system_table = PhysAddr::FromRaw(kSystem);
    info_->firmware.map = {PhysAddr::FromRaw(kMap), 0};
    info_->firmware.descriptor_size = kStep;
    Add({7, 0, kBase, 0, 64, 0xf});
    Add({6, 0, kServices, kVirtual, 4, 0xf | kRuntime});
    Add({4, 0, kServices + 4 * kPage, 0, 188, 0xf});
    memory_.PutString(kSystem, "IBI SYST");
    memory_.Put(kSystem + 104, uint64_t{0});
    memory_.Put(kSystem + 112, kVirtual + kPage);
  }
  void Add(const UefiDescriptor& descriptor) {
    memory_.Put(kMap + info_->firmware.map.size, descriptor);
    info_->firmware.map.size += kStep;
  }
  void AddTable(const std::string& guid, uint64_t address) {
    for (size_t i = 0; i < 16; ++i) memory_.Put(kArray + tables_ * 24 + i, guid[i]);
    memory_.Put(kArray + tables_ * 24 + 16, address);
    memory_.Put(kSystem + 104, ++tables_);
  }
  void Take() {
    memory_.With(
        [this](const base::BootReader& reader) { TakeFirmware(reader, reader, info_.get()); });
  }
  bool IsTaken() const { return !info_->firmware.system_table.is_null(); }
  std::vector<Region> Regions() const {
    std::vector<Region> regions;
    for (size_t i = 0; i < info_->region_count; ++i) {
      const base::MemoryRegion& region = info_->regions[i];
      regions.emplace_back((region.range.begin.raw() - kBase) / kPage, region.range.size / kPage,
                           region.type);
    }
    return regions;
  }
  void ExpectNothing(const std::string& note) {
    EXPECT_FALSE(IsTaken());
    EXPECT_EQ(memory_.notes(), std::vector<std::string>{note});
    EXPECT_EQ(Regions(), (std::vector<Region>{{0, 256, MemoryType::kRam}}));
  }

  base::FakeMemory memory_{kBase, kSize};
  std::unique_ptr<BootInfo> info_ = std::make_unique<BootInfo>();
  uint64_t tables_ = 0;
};

const std::string kSeed("\xbc\xe5\xe1\x1c\xeb\x7c\xf2\x42\x81\xe5\x8a\xad\xf1\x80\xf5\x7b", 16);
const std::string kReservations("\xc6\xb0\x8e\x88\xde\x8e\xf5\x4f\xa8\xf0\x9a\xee\x5c\xb9\x77\xc2",
                                16);

TEST_F(TakeFirmwareTest, RuntimeServicesAreNoRamAndTheMapIsKept) {
  Add({11, 0, 0xfe000000, 0, 16, kRuntime});               // not in RAM
  Add({4, 0, kBase + 200 * kPage, 0, 2, 0xf | kRuntime});  // what a Linux has kept
  Take();
  EXPECT_TRUE(IsTaken());
  EXPECT_TRUE(memory_.notes().empty());
  EXPECT_EQ(Regions(), (std::vector<Region>{{0, 64, MemoryType::kRam},
                                            {64, 4, MemoryType::kRuntimeServices},
                                            {68, 132, MemoryType::kRam},
                                            {200, 2, MemoryType::kReserved},
                                            {202, 54, MemoryType::kRam}}));
  ASSERT_EQ(info_->keep_count, 1u);
  EXPECT_EQ(info_->keep[0].begin.raw(), kBase);
}

TEST_F(TakeFirmwareTest, NothingWithoutAnEfiLoader) {
  info_->firmware.system_table = {};
  Take();
  EXPECT_TRUE(memory_.notes().empty());
  EXPECT_EQ(info_->region_count, 1u);
}

TEST_F(TakeFirmwareTest, TablesAreFoundBehindVirtualAddresses) {
  AddTable(kSeed, kBase + 100 * kPage - 8);
  memory_.Put(kBase + 100 * kPage - 8, uint32_t{32});
  Take();
  EXPECT_EQ(Regions()[3], (Region{99, 2, MemoryType::kReserved}));
}

TEST_F(TakeFirmwareTest, TablesAreWhereALinuxSaysTheyAre) {
  AddTable(kSeed, kBase + 100 * kPage);
  memory_.Put(kSystem + 112, uint64_t{1});
  info_->firmware.tables = PhysAddr::FromRaw(kArray);
  Take();
  EXPECT_EQ(Regions()[3], (Region{100, 1, MemoryType::kReserved}));
}

TEST_F(TakeFirmwareTest, ReservationsOfEarlierKernelsHold) {
  const uint64_t first = kBase + 100 * kPage;
  const uint64_t second = kBase + 110 * kPage;
  AddTable(kReservations, first);
  memory_.Put(first, uint32_t{2});
  memory_.Put(first + 4, uint32_t{1});
  memory_.Put(first + 8, second);
  memory_.Put(first + 16, kBase + 120 * kPage);
  memory_.Put(first + 24, 2 * kPage);
  memory_.Put(first + 32, kBase + 130 * kPage);  // beyond the count
  memory_.Put(first + 40, kPage);
  memory_.Put(second, uint32_t{1});
  Take();
  EXPECT_TRUE(memory_.notes().empty());
  std::vector<Region> reserved;
  for (const Region& region : Regions()) {
    if (std::get<2>(region) == MemoryType::kReserved) reserved.push_back(region);
  }
  EXPECT_EQ(reserved, (std::vector<Region>{{100, 1, MemoryType::kReserved},
                                           {110, 1, MemoryType::kReserved},
                                           {120, 2, MemoryType::kReserved}}));
}

TEST_F(TakeFirmwareTest, AListThatTheLoaderTookOutOfRamIsRead) {
  const uint64_t at = kBase + 100 * kPage;
  info_->regions[0].range.size = 100 * kPage;
  info_->regions[1] = {{PhysAddr::FromRaw(at + kPage), 155 * kPage}, MemoryType::kRam};
  info_->region_count = 2;
  AddTable(kReservations, at);
  memory_.Put(at, uint32_t{1});
  memory_.Put(at + 4, uint32_t{1});
  memory_.Put(at + 16, kBase + 120 * kPage);
  memory_.Put(at + 24, kPage);
  Take();
  EXPECT_TRUE(memory_.notes().empty());
  EXPECT_EQ(Regions()[4], (Region{120, 1, MemoryType::kReserved}));
  // Behind the last RAM there may be anything.
  info_->region_count = 1;
  info_->regions[0] = {{PhysAddr::FromRaw(kBase), 100 * kPage}, MemoryType::kRam};
  Take();
  EXPECT_EQ(memory_.notes(), std::vector<std::string>{"no list of memory reservations at"});
}

TEST_F(TakeFirmwareTest, AListOfReservationsThatNeverEndsEnds) {
  const uint64_t at = kBase + 100 * kPage;
  AddTable(kReservations, at);
  memory_.Put(at + 8, at);
  Take();
  EXPECT_EQ(memory_.notes(), std::vector<std::string>{"no list of memory reservations at"});
  memory_.Put(at, ~uint64_t{0});
  Take();
  EXPECT_EQ(memory_.notes(), std::vector<std::string>{"no list of memory reservations at"});
}

TEST_F(TakeFirmwareTest, AnArrayThatNeverEndsEnds) {
  memory_.Put(kSystem + 104, ~uint64_t{0});
  Take();
  EXPECT_EQ(memory_.notes(), std::vector<std::string>{"no EFI configuration table at"});
  EXPECT_TRUE(IsTaken());
}

TEST_F(TakeFirmwareTest, AMapOfAnImpossibleSize) {
  for (const auto& [size, step] : std::vector<std::tuple<uint64_t, uint32_t>>{
           {0, 48}, {2 << 20, 48}, {96, 0}, {96, 39}, {96, ~uint32_t{0}}}) {
    info_->firmware.system_table = PhysAddr::FromRaw(kSystem);
    info_->firmware.map = {PhysAddr::FromRaw(kMap), size};
    info_->firmware.descriptor_size = step;
    Take();
    ExpectNothing("no UEFI memory map at");
  }
}

TEST_F(TakeFirmwareTest, AMapOutsideRam) {
  info_->firmware.map.begin = PhysAddr::FromRaw(kBase + kSize - 8);
  Take();
  ExpectNothing("no UEFI memory map at");
}

TEST_F(TakeFirmwareTest, AMapThatCannotBeKept) {
  for (uint64_t i = 0; i < 8; ++i) {
    ASSERT_TRUE(base::Keep(info_.get(), {PhysAddr::FromRaw(kBase + (8 + 2 * i) * kPage), kPage}));
  }
  Take();
  ExpectNothing("no UEFI memory map at");
}

TEST_F(TakeFirmwareTest, AMapThatSomebodyWroteOver) {
  memory_.Fill(kMap, info_->firmware.map.size, 0xff);
  Take();
  ExpectNothing("no EFI system table at");
}

TEST_F(TakeFirmwareTest, NoSystemTable) {
  memory_.Put(kSystem, uint64_t{0});
  Take();
  ExpectNothing("no EFI system table at");
}

TEST_F(TakeFirmwareTest, ASystemTableOutsideMemory) {
  info_->firmware.system_table = PhysAddr::FromRaw(0xfe000018);
  Add({5, 0, 0xfe000000, 0, 16, kRuntime});
  Take();
  ExpectNothing("no EFI system table at");
}

TEST_F(TakeFirmwareTest, MemoryBeyondTheAddressSpace) {
  Add({0, 0, kBase, 0, ~uint64_t{0}, 0});
  Add({0, 0, ~uint64_t{0} - kPage + 1, 0, 2, 0});
  Take();
  EXPECT_TRUE(IsTaken());
  EXPECT_EQ(memory_.notes(),
            std::vector<std::string>(2, "UEFI memory map: beyond the address space:"));
  EXPECT_EQ(info_->region_count, 3u);
}

}  // namespace
}  // namespace boot
