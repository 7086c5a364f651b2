// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/iommu.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>
#include <utility>
#include <vector>

#include "kernel/arch/mmu.h"

namespace drivers {
namespace {

using arch::IommuKind;
using khocore::ErrorCode;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;

constexpr PhysAddr kRegisters = PhysAddr::FromRaw(0xfed90000);
constexpr PhysAddr kAt = PhysAddr::FromRaw(0x9a5a5000);
constexpr PageFrame kPage = PageFrame::FromNumber(0x41234);
constexpr uint64_t kAddress = 0x0000fffffffff000;

/// Registers that answer at once, and the order in which they were written.
struct Device {
  std::map<uint64_t, uint32_t> registers;
  std::vector<std::pair<uint64_t, uint32_t>> writes;
  bool answers = true;
};
Device* device = nullptr;

class IommuTest : public testing::Test {
 protected:
  IommuTest() { device = &device_; }
  ~IommuTest() override {
    device = nullptr;
    for (void* block : blocks_) free(block);
  }

  khocore::Result<Iommu> SwitchOn(IommuKind kind, arch::PciFunction function) {
    return Iommu::SwitchOn(
        {kind, kRegisters}, function, kAt, kPage,
        [this](Order order) -> khocore::Result<PageFrame> {
          if (left_ == 0) return khocore::Error{ErrorCode::kOutOfMemory};
          --left_;
          void* const block = aligned_alloc(order.bytes(), order.bytes());
          memset(block, 0xa5, order.bytes());
          blocks_.push_back(block);
          return PageFrame::Containing(PhysAddr::FromRaw(reinterpret_cast<uint64_t>(block)));
        });
  }

  static uint64_t Word(uint64_t table, uint64_t index) {
    return reinterpret_cast<const uint64_t*>(table)[index];
  }
  /// What the tables below `top` map `kAt` to, and the bits of each entry on the way.
  static uint64_t Walk(uint64_t top, uint64_t table_bits, uint64_t leaf_bits) {
    for (const unsigned shift : {30u, 21u, 12u}) {
      unsigned used = 0;
      for (uint64_t i = 0; i < 512; ++i) used += Word(top, i) != 0 ? 1 : 0;
      EXPECT_EQ(used, 1u);
      const uint64_t entry = Word(top, kAt.raw() >> shift & 511);
      EXPECT_EQ(entry & ~kAddress, shift == 12 ? leaf_bits : table_bits);
      top = entry & kAddress;
    }
    return top;
  }
  uint64_t Long(uint64_t offset) {
    return uint64_t{device_.registers[offset + 4]} << 32 | device_.registers[offset];
  }

  Device device_;
  std::vector<void*> blocks_;
  unsigned left_ = 100;
};

TEST_F(IommuTest, VtdLetsOneFunctionReachOnePage) {
  device_.registers = {{0x08, 0x200}, {0x10, 0xf << 8}};
  const auto iommu = SwitchOn(IommuKind::kVtd, {3, 4, 1});
  ASSERT_TRUE(iommu.ok());
  const uint64_t root = Long(0x20);
  EXPECT_EQ(iommu.value().root().raw(), root);
  EXPECT_EQ(iommu.value().tables().size, 5u);
  EXPECT_EQ(iommu.value().tables()[0].begin().raw(), root);
  for (uint64_t i = 0; i < 512; ++i) EXPECT_EQ(Word(root, i) != 0, i == 6);
  const uint64_t contexts = Word(root, 6) & kAddress;
  EXPECT_EQ(Word(root, 6) & ~kAddress, 1u);
  for (uint64_t i = 0; i < 512; ++i) EXPECT_EQ(Word(contexts, i) != 0, i == 66 || i == 67);
  EXPECT_EQ(Word(contexts, 67), 0x101u) << "domain 1, three levels";
  EXPECT_EQ(Word(contexts, 66) & ~kAddress, 1u);
  EXPECT_EQ(Walk(Word(contexts, 66) & kAddress, 3, 3), kPage.address().raw());
  // Both caches are invalidated before the last step, which switches it on.
  EXPECT_EQ(device_.registers[0x2c], 0x20000000u);
  EXPECT_EQ(device_.registers[0xfc], 0x10000000u);
  EXPECT_EQ(device_.writes.back(), (std::pair<uint64_t, uint32_t>{0x18, 1u << 31}));
}

TEST_F(IommuTest, SmmuLetsOneStreamReachOnePage) {
  const auto iommu = SwitchOn(IommuKind::kSmmuV3, {0, 2, 3});
  ASSERT_TRUE(iommu.ok());
  const uint64_t streams = Long(0x80);
  EXPECT_EQ(iommu.value().root().raw(), streams);
  EXPECT_EQ(streams % 0x4000, 0u);
  EXPECT_EQ(device_.registers[0x88], 8u);
  EXPECT_EQ(iommu.value().tables().size, 6u);
  EXPECT_EQ(iommu.value().tables()[0].order, Order::FromLog2(2));
  for (uint64_t i = 0; i < 2048; ++i) EXPECT_EQ(Word(streams, i) != 0, i == 152 || i == 153) << i;
  EXPECT_EQ(Word(streams, 152) & ~kAddress, 0xbu) << "valid, stage 1";
  const uint64_t context = Word(streams, 152) & kAddress;
  EXPECT_EQ(Word(context, 0), 0x0000e204'c0003519u);
  EXPECT_EQ(Walk(Word(context, 1), 3, 0x743), kPage.address().raw());
  EXPECT_EQ(device_.registers[0x98], 3u) << "three commands";
  const uint64_t commands = Long(0x90) & kAddress;
  EXPECT_EQ(Word(commands, 0), 0x04u);
  EXPECT_EQ(Word(commands, 1), 31u);
  EXPECT_EQ(Word(commands, 2), 0x30u);
  EXPECT_EQ(Word(commands, 4), 0x46u);
  EXPECT_EQ(device_.writes.back(), (std::pair<uint64_t, uint32_t>{0x20, 1}));
}

TEST_F(IommuTest, WhatItCannotDoIsAnError) {
  EXPECT_EQ(SwitchOn(IommuKind::kVtd, {0, 1, 0}).error().code, ErrorCode::kVersion) << "48 bits";
  EXPECT_EQ(SwitchOn(IommuKind::kSmmuV3, {1, 0, 0}).error().code, ErrorCode::kNoSpace);
  device_.answers = false;
  device_.registers = {{0x08, 0x200}};
  EXPECT_EQ(SwitchOn(IommuKind::kVtd, {0, 1, 0}).error().code, ErrorCode::kVersion);
  EXPECT_EQ(SwitchOn(IommuKind::kSmmuV3, {0, 1, 0}).error().code, ErrorCode::kVersion);
  for (const IommuKind kind : {IommuKind::kVtd, IommuKind::kSmmuV3}) {
    for (unsigned pages = 0; pages < 5; ++pages) {
      left_ = pages;
      EXPECT_EQ(SwitchOn(kind, {0, 1, 0}).error().code, ErrorCode::kOutOfMemory);
    }
  }
}

TEST_F(IommuTest, IsTakenOverWithoutAWriteAndOnlyWithItsTables) {
  device_.registers = {{0x08, 0x200}, {0x10, 0xf << 8}};
  for (const IommuKind kind : {IommuKind::kVtd, IommuKind::kSmmuV3}) {
    const arch::IommuPlace place = {kind, kRegisters};
    const auto iommu = SwitchOn(kind, {0, 1, 0});
    ASSERT_TRUE(iommu.ok());
    const PhysAddr root = iommu.value().root();
    device_.writes.clear();
    EXPECT_TRUE(Iommu::TakeOver(place, root).ok());
    EXPECT_EQ(Iommu::TakeOver(place, root + 0x4000).error().code, ErrorCode::kNotFound);
    device_.registers[0x1c] = device_.registers[0x24] = 0;
    EXPECT_EQ(Iommu::TakeOver(place, root).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(device_.writes.empty());
  }
}

}  // namespace
}  // namespace drivers

namespace arch {

uint32_t ReadDevice(khocore::PhysAddr address) {
  return drivers::device->registers[address.raw() - drivers::kRegisters.raw()];
}

/// Requests are done when they are made: an invalidation is not pending, a command is taken.
void WriteDevice(khocore::PhysAddr address, uint32_t value) {
  const uint64_t offset = address.raw() - drivers::kRegisters.raw();
  auto& registers = drivers::device->registers;
  drivers::device->writes.emplace_back(offset, value);
  const bool invalidates = offset == 0x2c || offset == 0xfc;
  registers[offset] = invalidates && drivers::device->answers ? value & ~(1u << 31) : value;
  if (!drivers::device->answers) return;
  if (offset == 0x18) registers[0x1c] = value;
  if (offset == 0x20) registers[0x24] = value;
  if (offset == 0x98) registers[0x9c] = value;
}

khocore::Status MapDevice(khocore::PhysRange) { return khocore::Ok{}; }
void PublishToDevices() {}

}  // namespace arch
