// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/tables.h"

#include <gtest/gtest.h>
#include <string.h>

#include <initializer_list>
#include <memory>
#include <tuple>
#include <vector>

namespace efi {
namespace {

using base::BootInfo;
using base::MemoryType;
using khocore::PhysAddr;

constexpr EFI_GUID kAttributes = {
    0xdcfa911d, 0x26eb, 0x469f, {0xa2, 0x20, 0x38, 0xb7, 0xdc, 0x46, 0x12, 0x20}};
constexpr EFI_GUID kSeed = {
    0x1ce1e5bc, 0x7ceb, 0x42f2, {0x81, 0xe5, 0x8a, 0xad, 0xf1, 0x80, 0xf5, 0x7b}};
constexpr EFI_GUID kForeign = {1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}};

using Region = std::tuple<uint64_t, uint64_t, MemoryType>;  // in pages from the first

/// Eight pages of RAM with tables in them.
class TablesTest : public testing::Test {
 protected:
  static constexpr uint64_t kPages = 8;

  TablesTest() {
    memory_ = std::make_unique<uint8_t[]>((kPages + 1) * kPageSize);
    first_ = khocore::AlignUp(reinterpret_cast<uint64_t>(memory_.get()), kPageSize);
    info_->regions[0] = {{PhysAddr::FromRaw(first_), kPages * kPageSize}, MemoryType::kRam};
    info_->region_count = 1;
  }
  void Put(const EFI_GUID& guid, uint64_t offset, std::initializer_list<uint32_t> head) {
    auto* const at = reinterpret_cast<uint8_t*>(first_ + offset);
    memcpy(at, head.begin(), head.size() * sizeof(uint32_t));
    tables_.push_back({guid, at});
  }
  void Keep() {
    EFI_SYSTEM_TABLE system{};
    system.NumberOfTableEntries = tables_.size();
    system.ConfigurationTable = tables_.data();
    KeepTables(system, info_.get());
  }
  std::vector<Region> Regions() const {
    std::vector<Region> regions;
    for (size_t i = 0; i < info_->region_count; ++i) {
      const base::MemoryRegion& region = info_->regions[i];
      regions.emplace_back((region.range.begin.raw() - first_) / kPageSize,
                           region.range.size / kPageSize, region.type);
    }
    return regions;
  }

  std::unique_ptr<BootInfo> info_ = std::make_unique<BootInfo>();
  std::unique_ptr<uint8_t[]> memory_;
  uint64_t first_ = 0;
  std::vector<EFI_CONFIGURATION_TABLE> tables_;
};

TEST_F(TablesTest, KeepsThePagesOfATable) {
  Put(kAttributes, 3 * kPageSize - 32, {1, 4, 48, 0});
  Keep();
  EXPECT_EQ(Regions(), (std::vector<Region>{{0, 2, MemoryType::kRam},
                                            {2, 2, MemoryType::kReserved},
                                            {4, 4, MemoryType::kRam}}));
  EXPECT_EQ(info_->regions_dropped, 0u);
}

TEST_F(TablesTest, AtTheEndsOfARegion) {
  Put(kAttributes, 0, {1, 1, 48, 0});
  Put(kSeed, kPages * kPageSize - 36, {32});
  Keep();
  EXPECT_EQ(Regions(), (std::vector<Region>{{0, 1, MemoryType::kReserved},
                                            {1, 6, MemoryType::kRam},
                                            {7, 1, MemoryType::kReserved}}));
}

TEST_F(TablesTest, AcrossTwoRegions) {
  info_->regions[0].range.size = 3 * kPageSize;
  info_->regions[1] = {{PhysAddr::FromRaw(first_ + 3 * kPageSize), 5 * kPageSize},
                       MemoryType::kRam};
  info_->region_count = 2;
  Put(kAttributes, 3 * kPageSize - 32, {1, 4, 48, 0});
  Keep();
  EXPECT_EQ(Regions(), (std::vector<Region>{{0, 2, MemoryType::kRam},
                                            {2, 1, MemoryType::kReserved},
                                            {3, 1, MemoryType::kReserved},
                                            {4, 4, MemoryType::kRam}}));
}

TEST_F(TablesTest, LeavesWhatTheMapKeeps) {
  info_->regions[0].type = MemoryType::kAcpi;
  Put(kSeed, kPageSize, {32});
  Keep();
  EXPECT_EQ(Regions(), (std::vector<Region>{{0, kPages, MemoryType::kAcpi}}));
}

TEST_F(TablesTest, KnowsNothingOfOthers) {
  Put(kForeign, kPageSize, {32});
  Keep();
  EXPECT_EQ(Regions(), (std::vector<Region>{{0, kPages, MemoryType::kRam}}));
}

TEST_F(TablesTest, OfAnAbsurdSizeTheHeadIsKept) {
  Put(kAttributes, kPageSize, {1, 1705287680, 16, 0});
  Put(kSeed, 5 * kPageSize, {~uint32_t{0}});
  Keep();
  EXPECT_EQ(Regions(), (std::vector<Region>{{0, 1, MemoryType::kRam},
                                            {1, 1, MemoryType::kReserved},
                                            {2, 3, MemoryType::kRam},
                                            {5, 1, MemoryType::kReserved},
                                            {6, 2, MemoryType::kRam}}));
}

TEST_F(TablesTest, CountsWhatFindsNoRoom) {
  for (size_t i = 1; i < BootInfo::kMaxRegions; ++i) {
    info_->regions[i] = {{PhysAddr::FromRaw(first_ + (kPages + i) * kPageSize), kPageSize},
                         MemoryType::kNvs};
  }
  info_->region_count = BootInfo::kMaxRegions;
  Put(kSeed, kPageSize, {32});
  Keep();
  EXPECT_EQ(info_->region_count, BootInfo::kMaxRegions);
  EXPECT_EQ(info_->regions_dropped, 2u);
  EXPECT_EQ(std::get<2>(Regions()[0]), MemoryType::kReserved);
}

std::vector<EFI_CONFIGURATION_TABLE> installed;

EFI_STATUS EFIAPI Install(EFI_GUID* guid, void* table) {
  installed.push_back({*guid, table});
  return EFI_SUCCESS;
}

EFI_STATUS EFIAPI Allocate(EFI_ALLOCATE_TYPE, EFI_MEMORY_TYPE type, UINTN pages,
                           EFI_PHYSICAL_ADDRESS* begin) {
  alignas(kPageSize) static uint8_t page[2 * kPageSize];
  EXPECT_EQ(type, EfiLoaderData);
  EXPECT_LE(pages, 2u);
  memset(page, 0xff, sizeof(page));
  *begin = reinterpret_cast<uint64_t>(page);
  return EFI_SUCCESS;
}

EFI_STATUS EFIAPI Free(EFI_PHYSICAL_ADDRESS, UINTN) { return EFI_SUCCESS; }

TEST(InstallReservations, OnceAndEmpty) {
  EFI_BOOT_SERVICES services{};
  services.AllocatePages = Allocate;
  services.FreePages = Free;
  services.InstallConfigurationTable = Install;
  EFI_SYSTEM_TABLE system{};
  system.BootServices = &services;
  EXPECT_EQ(InstallReservations(system), EFI_SUCCESS);
  ASSERT_EQ(installed.size(), 1u);
  EXPECT_EQ(installed[0].VendorGuid.Data1, 0x888eb0c6u);
  const auto* const head = static_cast<const uint64_t*>(installed[0].VendorTable);
  EXPECT_EQ(head[0], 0u);
  EXPECT_EQ(head[1], 0u);
  system.ConfigurationTable = installed.data();
  system.NumberOfTableEntries = 1;
  EXPECT_EQ(InstallReservations(system), EFI_SUCCESS);
  EXPECT_EQ(installed.size(), 1u);
}

}  // namespace
}  // namespace efi
