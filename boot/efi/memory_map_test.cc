// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/memory_map.h"

#include <gtest/gtest.h>
#include <string.h>

#include <memory>
#include <vector>

namespace efi {
namespace {

using base::BootInfo;
using base::MemoryType;

constexpr size_t kDescriptor = 48;  // as firmware has it: more than the structure

/// Firmware whose map changes a number of times while somebody tries to leave it.
struct Firmware {
  std::vector<EFI_MEMORY_DESCRIPTOR> map;
  UINTN key = 1;
  unsigned changes = 0;
  unsigned exits = 0;
} firmware;

EFI_STATUS EFIAPI GetMap(UINTN* bytes, EFI_MEMORY_DESCRIPTOR* buffer, UINTN* key, UINTN* size,
                         UINT32* version) {
  const UINTN needed = firmware.map.size() * kDescriptor;
  const bool fits = *bytes >= needed;
  *bytes = needed;
  *size = kDescriptor;
  *version = 1;
  if (!fits) return EFI_BUFFER_TOO_SMALL;
  *key = firmware.key;
  for (size_t i = 0; i < firmware.map.size(); ++i) {
    memcpy(reinterpret_cast<char*>(buffer) + i * kDescriptor, &firmware.map[i],
           sizeof(firmware.map[i]));
  }
  return EFI_SUCCESS;
}

EFI_STATUS EFIAPI Exit(EFI_HANDLE, UINTN key) {
  ++firmware.exits;
  if (firmware.changes != 0) {
    --firmware.changes;
    ++firmware.key;
    firmware.map.push_back({EfiBootServicesData, 0, 0x10000000u + firmware.key * 0x2000, 0, 1, 0});
  }
  return key == firmware.key ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

EFI_STATUS EFIAPI Allocate(EFI_ALLOCATE_TYPE, EFI_MEMORY_TYPE, UINTN pages,
                           EFI_PHYSICAL_ADDRESS* begin) {
  static std::vector<std::unique_ptr<uint8_t[]>> all;
  all.push_back(std::make_unique<uint8_t[]>((pages + 1) * kPageSize));
  *begin = khocore::AlignUp(reinterpret_cast<uint64_t>(all.back().get()), kPageSize);
  return EFI_SUCCESS;
}

class MemoryMapTest : public testing::Test {
 protected:
  MemoryMapTest() {
    firmware = Firmware{};
    services_.GetMemoryMap = GetMap;
    services_.ExitBootServices = Exit;
    services_.AllocatePages = Allocate;
  }
  void Add(uint32_t type, uint64_t begin, uint64_t pages) {
    firmware.map.push_back({type, 0, begin, 0, pages, 0});
  }
  void Describe() {
    ASSERT_EQ(AllocateMap(&services_, &map_), EFI_SUCCESS);
    ASSERT_EQ(ExitBootServices(&services_, nullptr, &map_, &attempts_), EFI_SUCCESS);
    DescribeMemory(map_, info_.get());
  }

  EFI_BOOT_SERVICES services_{};
  MemoryMap map_;
  unsigned attempts_ = 0;
  std::unique_ptr<BootInfo> info_ = std::make_unique<BootInfo>();
};

TEST_F(MemoryMapTest, SortsAndMerges) {
  Add(EfiRuntimeServicesData, 0x9000, 2);
  Add(EfiBootServicesCode, 0x2000, 1);
  Add(EfiConventionalMemory, 0x1000, 1);
  Add(EfiLoaderData, 0x3000, 6);
  Add(EfiRuntimeServicesCode, 0xb000, 1);
  Add(EfiACPIReclaimMemory, 0xc000, 1);
  Add(EfiConventionalMemory, 0xd000, 0);
  Add(EfiACPIMemoryNVS, 0xe000, 1);
  Add(EfiUnusableMemory, 0xf000, 1);
  Add(EfiMemoryMappedIO, 0x10000, 1);
  Add(99, 0x11000, 1);
  Describe();
  const struct {
    uint64_t begin, size;
    MemoryType type;
  } kExpected[] = {
      {0x1000, 0x8000, MemoryType::kRam},      {0x9000, 0x3000, MemoryType::kRuntimeServices},
      {0xc000, 0x1000, MemoryType::kAcpi},     {0xe000, 0x1000, MemoryType::kNvs},
      {0xf000, 0x1000, MemoryType::kUnusable}, {0x10000, 0x2000, MemoryType::kReserved},
  };
  ASSERT_EQ(info_->region_count, std::size(kExpected));
  for (size_t i = 0; i < std::size(kExpected); ++i) {
    EXPECT_EQ(info_->regions[i].range.begin.raw(), kExpected[i].begin) << i;
    EXPECT_EQ(info_->regions[i].range.size, kExpected[i].size) << i;
    EXPECT_EQ(info_->regions[i].type, kExpected[i].type) << i;
  }
  EXPECT_EQ(attempts_, 1u);
}

TEST_F(MemoryMapTest, MorePagesThanThereCanBeReserveTheRest) {
  constexpr uint64_t kPages = ~uint64_t{0} / kPageSize;  // as many as fit 64 bits
  Add(EfiReservedMemoryType, 0x1000, kPages + 2);
  Add(EfiReservedMemoryType, 0x2000, kPages);
  Add(EfiReservedMemoryType, 0, 1);
  Add(EfiReservedMemoryType, ~uint64_t{0}, 1);
  Describe();
  ASSERT_EQ(info_->region_count, 4u);
  EXPECT_EQ(info_->regions[0].range.size, kPageSize) << "both together do not fit 64 bits";
  EXPECT_EQ(info_->regions[1].range.size, ~uint64_t{0});
  EXPECT_EQ(info_->regions[2].range.size, kPages * kPageSize);
  EXPECT_EQ(info_->regions[3].range.begin.raw(), ~uint64_t{0});
}

TEST_F(MemoryMapTest, RegionsWithoutRoomAreCounted) {
  for (uint64_t i = 0; i < BootInfo::kMaxRegions + 2; ++i) {
    Add(EfiConventionalMemory, i * 0x2000 + 0x1000, 1);
  }
  Describe();
  EXPECT_EQ(info_->region_count, BootInfo::kMaxRegions);
  EXPECT_EQ(info_->regions_dropped, 2u);
}

TEST_F(MemoryMapTest, AsksAgainWhenTheMapHasChanged) {
  Add(EfiConventionalMemory, 0x1000, 1);
  firmware.changes = 3;
  Describe();
  EXPECT_EQ(attempts_, 4u);
  EXPECT_EQ(info_->region_count, 4u) << "the last map counts";
}

TEST_F(MemoryMapTest, GivesUpOnFirmwareThatNeverEnds) {
  Add(EfiConventionalMemory, 0x1000, 1);
  firmware.changes = kMaxAttempts + 1;
  ASSERT_EQ(AllocateMap(&services_, &map_), EFI_SUCCESS);
  EXPECT_EQ(ExitBootServices(&services_, nullptr, &map_, &attempts_), EFI_INVALID_PARAMETER);
  EXPECT_EQ(firmware.exits, kMaxAttempts);
}

TEST_F(MemoryMapTest, AMapThatOutgrowsItsBufferIsAnError) {
  Add(EfiConventionalMemory, 0x1000, 1);
  ASSERT_EQ(AllocateMap(&services_, &map_), EFI_SUCCESS);
  for (uint64_t i = 0; i < 2 * kSpareDescriptors + kPageSize / kDescriptor; ++i) {
    Add(EfiConventionalMemory, i * 0x2000 + 0x10000, 1);
  }
  EXPECT_EQ(ExitBootServices(&services_, nullptr, &map_, &attempts_), EFI_BUFFER_TOO_SMALL);
}

TEST(MapToItself, ConcernsWhatTheFirmwareNeeds) {
  std::vector<uint8_t> bytes(2 * kDescriptor + 8);
  const EFI_MEMORY_DESCRIPTOR entries[] = {
      {EfiConventionalMemory, 0, 0x1000, 0, 1, 0},
      {EfiRuntimeServicesData, 0, 0x2000, 7, 1, EFI_MEMORY_RUNTIME}};
  for (size_t i = 0; i < 2; ++i) memcpy(&bytes[i * kDescriptor], &entries[i], sizeof(entries[i]));
  MapToItself({{bytes.data(), bytes.size()}, bytes.size(), kDescriptor, 1});
  EFI_MEMORY_DESCRIPTOR now[2];
  for (size_t i = 0; i < 2; ++i) memcpy(&now[i], &bytes[i * kDescriptor], sizeof(now[i]));
  EXPECT_EQ(now[0].VirtualStart, 0u);
  EXPECT_EQ(now[1].VirtualStart, 0x2000u);
}

}  // namespace
}  // namespace efi
