// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/pci_memory.h"

#include <gtest/gtest.h>

#include "kernel/drivers/pci.h"
#include "kernel/drivers/testing/fake_pci.h"

namespace drivers {
namespace {

using arch::PciFunction;
using khocore::PhysAddr;

constexpr uint32_t kPorts = 1, kMemory64 = 4, kPrefetchable = 8;
constexpr uint32_t kMiB = 1 << 20;

class PciMemory : public testing::Test {
 protected:
  PciMemory() {
    fake_pci = &pci_;
    pci_.memory = {PhysAddr::FromRaw(0x10000000), 256 * kMiB};
  }
  ~PciMemory() override {
    EXPECT_TRUE(pci_.wrong.empty());
    for (const auto& [place, function] : pci_.functions) EXPECT_FALSE(function.decoded_while_sized);
    fake_pci = nullptr;
  }

  uint32_t Register(PciFunction at, unsigned offset) { return arch::ReadPciConfig(at, offset); }

  FakePci pci_;
};

TEST_F(PciMemory, GivesEveryMemoryBarAnAlignedAddress) {
  FakeFunction device = FakeDevice(0x11e81234);
  device.Bar(0, 0, 0x1000).Bar(1, kPorts, 0x20).Bar(2, kMemory64 | kPrefetchable, kMiB);
  device.Bar(4, 0, 0x100);
  device.writable[0x1c] = 0xffffffff;  // the upper half of BAR 2
  pci_.functions[{0, 2, 0}] = device;
  AssignPciMemory();
  EXPECT_EQ(Register({0, 2, 0}, 0x10), 0x10000000u);
  EXPECT_EQ(Register({0, 2, 0}, 0x14), kPorts) << "ports are not memory";
  EXPECT_EQ(Register({0, 2, 0}, 0x18), 0x10100000u | kMemory64 | kPrefetchable);
  EXPECT_EQ(Register({0, 2, 0}, 0x1c), 0u);
  EXPECT_EQ(Register({0, 2, 0}, 0x20), 0x10200000u);
  EXPECT_EQ(Register({0, 2, 0}, 0x24), 0u) << "a BAR that is not there";
}

TEST_F(PciMemory, AssignsBehindBridgesAndExtraRoots) {
  pci_.functions[{0, 1, 0}] = FakeBridge(1, 2);
  pci_.functions[{0, 2, 0}] = FakeDevice(1).Bar(0, 0, 0x1000);
  pci_.functions[{1, 0, 0}] = FakeBridge(2, 2);
  pci_.functions[{2, 0, 0}] = FakeDevice(2).Bar(0, 0, 0x1000).Bar(1, 0, 2 * kMiB);
  pci_.functions[{0, 3, 0}] = FakeBridge(3, 3);  // nothing behind it
  pci_.functions[{9, 0, 0}] = FakeDevice(3).Bar(0, 0, 0x2000);
  AssignPciMemory();
  EXPECT_EQ(Register({2, 0, 0}, 0x10), 0x10000000u);
  EXPECT_EQ(Register({2, 0, 0}, 0x14), 0x10200000u);
  EXPECT_EQ(Register({1, 0, 0}, 0x20), 0x10301000u);
  EXPECT_EQ(Register({0, 1, 0}, 0x20), 0x10301000u);
  EXPECT_EQ(Register({0, 2, 0}, 0x10), 0x10400000u);
  EXPECT_EQ(Register({0, 3, 0}, 0x20), 0u);
  EXPECT_EQ(Register({9, 0, 0}, 0x10), 0x10402000u);
}

TEST_F(PciMemory, KeepsWhatFirmwareAssigned) {
  pci_.functions[{0, 1, 0}] = FakeBridge(1, 1, 0x12101200);  // 0x12000000 to 0x121fffff
  pci_.functions[{1, 0, 0}] = FakeDevice(1).Bar(0, 0, 0x1000, 0x12000000);
  pci_.functions[{0, 2, 0}] = FakeDevice(2).Bar(0, 0, 0x1000, 0x10000000);
  pci_.functions[{0, 3, 0}] = FakeDevice(3).Bar(0, 0, 0x1000, 0xfe000000);  // outside
  pci_.functions[{0, 4, 0}] = FakeDevice(4).Bar(0, 0, 0x1000);
  pci_.functions[{0, 4, 0}].command() = 2;
  AssignPciMemory();
  EXPECT_EQ(Register({1, 0, 0}, 0x10), 0x12000000u);
  EXPECT_EQ(Register({0, 1, 0}, 0x20), 0x12101200u);
  EXPECT_EQ(Register({0, 2, 0}, 0x10), 0x10000000u);
  EXPECT_EQ(Register({0, 3, 0}, 0x10), 0xfe000000u);
  EXPECT_EQ(Register({0, 4, 0}, 0x10), 0x12200000u) << "behind all that is assigned";
  EXPECT_EQ(Register({0, 4, 0}, 0x04), 2u) << "decoding was not given back";
}

TEST_F(PciMemory, LeavesWhatDoesNotFit) {
  pci_.memory.size = 2 * kMiB;
  pci_.functions[{0, 1, 0}] = FakeDevice(1).Bar(0, 0, 4 * kMiB).Bar(1, 0, kMiB);
  AssignPciMemory();
  EXPECT_EQ(Register({0, 1, 0}, 0x10), 0u);
  EXPECT_EQ(Register({0, 1, 0}, 0x14), 0x10000000u);
}

TEST_F(PciMemory, WritesNoBarWhereFirmwareAssigns) {
  pci_.memory = {};
  pci_.functions[{0, 1, 0}] = FakeDevice(1).Bar(0, 0, 0x1000);
  AssignPciMemory();
  EXPECT_EQ(pci_.writes, 0u);
}

TEST_F(PciMemory, ReadsWhereRegistersAre) {
  FakeFunction device = FakeDevice(1);
  device.Bar(0, kPrefetchable, 0x1000, 0xfea00000).Bar(1, kPorts, 0x20, 0xc000).Bar(2, 4, 0x1000);
  device.registers[0x18] = 0xe0000000 | kMemory64;
  device.registers[0x1c] = 0x80;
  pci_.functions[{0, 1, 0}] = device;
  EXPECT_EQ(PciMemoryOf({0, 1, 0}, 0).value(), PhysAddr::FromRaw(0xfea00000));
  EXPECT_EQ(PciMemoryOf({0, 1, 0}, 1).error().code, khocore::ErrorCode::kNotFound);
  EXPECT_EQ(PciMemoryOf({0, 1, 0}, 2).value(), PhysAddr::FromRaw(0x80e0000000));
  EXPECT_EQ(PciMemoryOf({0, 1, 0}, 4).error().code, khocore::ErrorCode::kNotFound);
  EXPECT_EQ(pci_.writes, 0u);
}

TEST_F(PciMemory, OpensAFunctionThroughTheBridgesAboveIt) {
  pci_.functions[{0, 1, 0}] = FakeBridge(1, 2);
  pci_.functions[{1, 0, 0}] = FakeBridge(2, 2);
  pci_.functions[{2, 3, 0}] = FakeDevice(2);
  pci_.functions[{0, 2, 0}] = FakeBridge(3, 3);
  pci_.functions[{0, 4, 0}] = FakeDevice(3);
  pci_.functions[{0, 1, 0}].command() = 0x107;
  OpenPciFunction({2, 3, 0});
  EXPECT_EQ(Register({2, 3, 0}, 4), 6u);
  EXPECT_EQ(Register({1, 0, 0}, 4), 6u);
  EXPECT_EQ(Register({0, 1, 0}, 4), 0x107u);
  EXPECT_EQ(Register({0, 2, 0}, 4), 0u);
  EXPECT_EQ(Register({0, 4, 0}, 4), 0u);
  EXPECT_EQ(pci_.writes, 2u) << "what is on is not written";
}

TEST_F(PciMemory, FindsAFunctionByItsId) {
  pci_.functions[{0, 1, 0}] = FakeBridge(1, 1);
  pci_.functions[{1, 3, 0}] = FakeDevice(0x11e81234);
  pci_.functions[{1, 4, 0}] = FakeDevice(0x11e81234);
  PciFunction found = {};
  ASSERT_TRUE(FindPciFunction(0x11e81234, &found));
  EXPECT_EQ(found.bus, 1u);
  EXPECT_EQ(found.device, 3u);
  EXPECT_FALSE(FindPciFunction(0x11e81235, &found));
}

}  // namespace
}  // namespace drivers
