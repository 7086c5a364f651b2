// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/edu.h"

#include <gtest/gtest.h>

#include <utility>

#include "kernel/arch/cpu.h"
#include "kernel/arch/mmu.h"
#include "kernel/drivers/testing/fake_pci.h"

namespace drivers {
namespace {

using khocore::ErrorCode;
using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kRegisters = 0xfea00000;

struct Device {
  uint32_t id = 0x010000ed;
  uint32_t command = 0;
  std::vector<std::pair<uint64_t, uint32_t>> writes;
  std::vector<PhysRange> mapped;
  bool can_map = true;
  unsigned busy_looks = 0;  ///< how often it still is, after `command` says so
  uint64_t now = 0;
};
Device* device = nullptr;

class EduTest : public testing::Test {
 protected:
  EduTest() {
    fake_pci = &pci_;
    device = &device_;
    pci_.functions[{0, 1, 0}] = FakeBridge(1, 1);
    pci_.functions[{1, 3, 0}] = FakeDevice(Edu::kPciId).Bar(0, 0, 1 << 20, kRegisters);
  }
  ~EduTest() override {
    fake_pci = nullptr;
    device = nullptr;
  }

  FakePci pci_;
  Device device_;
};

TEST_F(EduTest, IsFoundMappedAndOpened) {
  const auto edu = Edu::Find();
  ASSERT_TRUE(edu.ok());
  EXPECT_EQ(edu.value().function().bus, 1u);
  EXPECT_EQ(edu.value().registers(), PhysAddr::FromRaw(kRegisters));
  ASSERT_EQ(device_.mapped.size(), 1u);
  EXPECT_EQ(device_.mapped[0], (PhysRange{PhysAddr::FromRaw(kRegisters), 1 << 20}));
  EXPECT_EQ((pci_.functions[{1, 3, 0}].command()), 6u);
  EXPECT_EQ((pci_.functions[{0, 1, 0}].command()), 6u);
  EXPECT_TRUE(device_.writes.empty());
}

TEST_F(EduTest, IsNotFoundWhereThereIsNone) {
  pci_.functions[{1, 3, 0}].registers[0] = 0x11e91234;
  EXPECT_EQ(Edu::Find().error().code, ErrorCode::kNotFound);
}

TEST_F(EduTest, MustAnswerAndHaveAddressAndMap) {
  device_.id = 0x010000ee;
  EXPECT_EQ(Edu::Find().error().code, ErrorCode::kMagic);
  device_.can_map = false;
  EXPECT_EQ(Edu::Find().error().code, ErrorCode::kOutOfMemory);
  pci_.functions[{1, 3, 0}].registers[0x10] = 0;
  EXPECT_EQ(Edu::Find().error().code, ErrorCode::kNotFound);
}

TEST_F(EduTest, IsTakenOverWithoutAWrite) {
  device_.command = 3;
  const auto edu = Edu::TakeOver({1, 3, 0}, PhysAddr::FromRaw(kRegisters));
  ASSERT_TRUE(edu.ok());
  EXPECT_TRUE(edu.value().IsBusy());
  EXPECT_EQ(pci_.writes, 0u);
  EXPECT_TRUE(device_.writes.empty());
}

TEST_F(EduTest, IsTakenOverOnlyFromWhereItIs) {
  const PhysAddr registers = PhysAddr::FromRaw(kRegisters);
  EXPECT_EQ(Edu::TakeOver({1, 4, 0}, registers).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Edu::TakeOver({300, 3, 0}, registers).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Edu::TakeOver({1, 3, 0}, registers + 4096).error().code, ErrorCode::kNotFound);
  device_.id = 0;
  EXPECT_EQ(Edu::TakeOver({1, 3, 0}, registers).error().code, ErrorCode::kMagic);
}

TEST_F(EduTest, StartsTransfersBothWays) {
  const auto edu = Edu::Find();
  ASSERT_TRUE(edu.ok());
  edu.value().StartLoad(PhysAddr::FromRaw(0x40201000), 16, 64);
  edu.value().StartStore(PhysAddr::FromRaw(0x40202000), 0, 4096);
  const std::vector<std::pair<uint64_t, uint32_t>> expected = {
      {0x80, 0x40201000}, {0x88, 0x40010},    {0x90, 64},   {0x98, 1},
      {0x80, 0x40000},    {0x88, 0x40202000}, {0x90, 4096}, {0x98, 3}};
  EXPECT_EQ(device_.writes, expected);
}

TEST_F(EduTest, IsBusyUntilItsCommandIsCleared) {
  const auto edu = Edu::Find();
  ASSERT_TRUE(edu.ok());
  EXPECT_FALSE(edu.value().IsBusy());
  device_.command = 2;
  EXPECT_FALSE(edu.value().IsBusy());
  device_.command = 1;
  EXPECT_TRUE(edu.value().IsBusy());
}

TEST_F(EduTest, IsWaitedForButNotForever) {
  const auto edu = Edu::Find();
  ASSERT_TRUE(edu.ok());
  device_.busy_looks = 3;
  EXPECT_TRUE(edu.value().Wait());
  EXPECT_EQ(device_.busy_looks, 0u);
  device_.busy_looks = 1'000'000;
  EXPECT_FALSE(edu.value().Wait());
  EXPECT_GT(device_.busy_looks, 0u);
}

}  // namespace
}  // namespace drivers

namespace arch {

uint64_t Counter() { return drivers::device->now += 1'000'000; }

uint32_t ReadDevice(khocore::PhysAddr address) {
  const uint64_t offset = address.raw() - drivers::kRegisters;
  if (offset == 0) return drivers::device->id;
  if (offset != 0x98) return 0;
  if (drivers::device->busy_looks == 0) return drivers::device->command;
  --drivers::device->busy_looks;
  return 1;
}

void WriteDevice(khocore::PhysAddr address, uint32_t value) {
  drivers::device->writes.emplace_back(address.raw() - drivers::kRegisters, value);
}

khocore::Status MapDevice(khocore::PhysRange range) {
  if (!drivers::device->can_map) return khocore::Error{khocore::ErrorCode::kOutOfMemory};
  drivers::device->mapped.push_back(range);
  return khocore::Ok{};
}

}  // namespace arch
