// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/console.h"

#include "kernel/arch/cpu.h"
#include "kernel/arch/poll.h"
#include "kernel/arch/x86_64/io.h"

namespace arch {

namespace {

// The first 16550 of a PC. QEMU's needs no initialization; a baud rate means nothing to it.
constexpr uint16_t kData = 0x3f8;
constexpr uint16_t kInterruptEnable = 0x3f9;
constexpr uint16_t kLineStatus = 0x3fd;
constexpr uint8_t kRoomInterrupt = 0x02;
constexpr uint8_t kInterrupts = 0x0f;
constexpr uint8_t kReceived = 0x01;
constexpr uint8_t kTransmitterEmpty = 0x20;

}  // namespace

void ConsolePut(char byte) {
  for (unsigned i = 0; i < kMaxPolls && (InByte(kLineStatus) & kTransmitterEmpty) == 0; ++i) {
    Pause();
  }
  OutByte(kData, static_cast<uint8_t>(byte));
}

bool ConsoleTryGet(char* byte) {
  const uint8_t status = InByte(kLineStatus);
  constexpr uint8_t kNoPort = 0xff;
  if (status == kNoPort || (status & kReceived) == 0) return false;
  *byte = static_cast<char>(InByte(kData));
  return true;
}

/// Which event has it interrupt could be read, too, but that read would acknowledge it.
bool ConsoleInterrupts() {
  const uint8_t enabled = InByte(kInterruptEnable) & kInterrupts;
  const uint8_t status = InByte(kLineStatus);
  return ((enabled & kRoomInterrupt) != 0 && (status & kTransmitterEmpty) != 0) ||
         ((enabled & kReceived) != 0 && (status & kReceived) != 0);
}

unsigned StopConsoleInterrupt() {
  const uint8_t enabled = InByte(kInterruptEnable) & kInterrupts;
  OutByte(kInterruptEnable, 0);
  return enabled != 0 ? 1 : 0;
}

void StartConsoleInterrupt() { OutByte(kInterruptEnable, kRoomInterrupt); }

}  // namespace arch
