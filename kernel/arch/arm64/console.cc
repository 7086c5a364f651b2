// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/console.h"

#include "kernel/arch/arm64/mmio.h"
#include "kernel/arch/console.h"
#include "kernel/arch/poll.h"

// Arm PrimeCell UART (PL011), technical reference manual, chapter 3.

namespace arch {
namespace {

constexpr uint64_t kData = 0x00;
constexpr uint64_t kFlags = 0x18;
constexpr uint64_t kLineControl = 0x2c;
constexpr uint64_t kControl = 0x30;
constexpr uint64_t kInterruptMask = 0x38;
constexpr uint64_t kInterruptStatus = 0x40;  // of those that are not masked
constexpr uint64_t kInterruptClear = 0x44;
constexpr uint32_t kTransmitInterrupt = 1 << 5;
constexpr uint32_t kInterrupts = 0x7ff;

constexpr uint32_t kFlagReceiveEmpty = 1 << 4;
constexpr uint32_t kFlagTransmitFull = 1 << 5;
constexpr uint32_t kLine8Bits = 3 << 5;
constexpr uint32_t kControlOn = 1 << 0 | 1 << 8 | 1 << 9;  // UART, transmit, receive

khocore::PhysAddr console = kDefaultConsole;

}  // namespace

void UseConsole(khocore::PhysAddr base) {
  console = base;
  if ((ReadMmio32(console + kControl) & kControlOn) == kControlOn) return;
  WriteMmio32(console + kLineControl, kLine8Bits);
  WriteMmio32(console + kControl, kControlOn);
}

void ConsolePut(char byte) {
  for (unsigned i = 0; i < kMaxPolls; ++i) {
    if ((ReadMmio32(console + kFlags) & kFlagTransmitFull) == 0) break;
  }
  WriteMmio32(console + kData, static_cast<uint8_t>(byte));
}

bool ConsoleTryGet(char* byte) {
  if ((ReadMmio32(console + kFlags) & kFlagReceiveEmpty) != 0) return false;
  *byte = static_cast<char>(ReadMmio32(console + kData));
  return true;
}

bool ConsoleInterrupts() { return (ReadMmio32(console + kInterruptStatus) & kInterrupts) != 0; }

unsigned StopConsoleInterrupt() {
  const uint32_t enabled = ReadMmio32(console + kInterruptMask) & kInterrupts;
  WriteMmio32(console + kInterruptMask, 0);
  WriteMmio32(console + kInterruptClear, kInterrupts);
  return enabled != 0 ? 1 : 0;
}

void StartConsoleInterrupt() { WriteMmio32(console + kInterruptMask, kTransmitInterrupt); }

}  // namespace arch
