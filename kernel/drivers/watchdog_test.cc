// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/watchdog.h"

#include <gtest/gtest.h>

#include "kernel/drivers/testing/fake_pci.h"

namespace drivers {
namespace {

constexpr arch::PciFunction kThere{0, 5, 0}, kOther{0, 6, 0};

class Watchdog : public testing::Test {
 protected:
  Watchdog() {
    fake_pci = &pci_;
    FakeFunction watchdog = FakeDevice(0x25ab8086);
    watchdog.writable[0x60] = watchdog.writable[0x68] = 0xffff;
    pci_.functions[{0, 5, 0}] = watchdog;
    pci_.functions[{0, 6, 0}] = FakeDevice(0x25ac8086);
  }
  ~Watchdog() override { fake_pci = nullptr; }

  FakePci pci_;
};

TEST_F(Watchdog, IsToldByItsId) {
  EXPECT_TRUE(IsWatchdog(kThere));
  EXPECT_FALSE(IsWatchdog(kOther));
}

TEST_F(Watchdog, IsArmedAndStopped) {
  auto& registers = pci_.functions[{0, 5, 0}].registers;
  EXPECT_FALSE(IsWatchdogArmed(kThere));
  EXPECT_EQ(StopWatchdog(kThere), 0u);
  EXPECT_EQ(pci_.writes, 0u);
  ArmWatchdog(kThere);
  EXPECT_EQ(registers[0x60], 7u) << "1 MHz, no interrupt, and reboot not disabled";
  EXPECT_EQ(registers[0x68], 2u);
  EXPECT_TRUE(IsWatchdogArmed(kThere));
  EXPECT_EQ(StopWatchdog(kThere), 1u);
  EXPECT_EQ(registers[0x68], 0u);
  EXPECT_FALSE(IsWatchdogArmed(kThere));
}

}  // namespace
}  // namespace drivers
