// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/watchdog.h"

namespace drivers {

using arch::PciFunction;

namespace {

constexpr unsigned kId = 0x00;
constexpr uint32_t kIntel6300Esb = 0x25ab8086;

constexpr unsigned kConfiguration = 0x60;  // 16 bits
constexpr uint16_t kNoInterrupt = 3;       // after the first of two stages
constexpr uint16_t kFast = 1 << 2;         // 1 MHz instead of 1 kHz
constexpr unsigned kLock = 0x68;           // 8 bits
constexpr uint8_t kEnable = 1 << 1;

}  // namespace

bool IsWatchdog(PciFunction function) {
  return arch::ReadPciConfig(function, kId) == kIntel6300Esb;
}

bool IsWatchdogArmed(PciFunction function) {
  return (arch::ReadPciConfigByte(function, kLock) & kEnable) != 0;
}

unsigned StopWatchdog(PciFunction function) {
  if (!IsWatchdogArmed(function)) return 0;
  arch::WritePciConfigByte(function, kLock, 0);
  return 1;
}

void ArmWatchdog(PciFunction function) {
  arch::WritePciConfigWord(function, kConfiguration, kFast | kNoInterrupt);
  arch::WritePciConfigByte(function, kLock, kEnable);
}

}  // namespace drivers
