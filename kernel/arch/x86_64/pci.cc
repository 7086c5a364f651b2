// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/quiesce.h"

namespace arch {

namespace {

// Configuration mechanism 1: an address port and a data port (PCI Local Bus 3.0, 3.2.2.3.2).
constexpr uint16_t kAddressPort = 0xcf8;
constexpr uint16_t kDataPort = 0xcfc;
constexpr uint32_t kEnable = uint32_t{1} << 31;

constexpr unsigned kBuses = 256;
constexpr unsigned kDevices = 32;
constexpr unsigned kFunctions = 8;

constexpr unsigned kIdRegister = 0x00;
constexpr unsigned kCommandRegister = 0x04;
constexpr unsigned kHeaderRegister = 0x0c;
constexpr uint32_t kNoFunction = 0xffff;
constexpr uint32_t kBusMaster = 1 << 2;
constexpr uint32_t kMultiFunction = 1 << 23;

uint32_t Address(unsigned bus, unsigned device, unsigned function, unsigned offset) {
  return kEnable | bus << 16 | device << 11 | function << 8 | offset;
}

uint32_t ReadConfig(uint32_t address) {
  OutLong(kAddressPort, address);
  return InLong(kDataPort);
}

bool HasConfigPorts() {
  OutLong(kAddressPort, kEnable);
  return InLong(kAddressPort) == kEnable;
}

/// True when the function had bus mastering on and no longer has.
bool StopFunction(unsigned bus, unsigned device, unsigned function) {
  const uint32_t address = Address(bus, device, function, kCommandRegister);
  const uint32_t command = ReadConfig(address) & 0xffff;
  if ((command & kBusMaster) == 0) return false;
  // The upper half is the status register, whose bits are cleared by writing ones.
  OutLong(kDataPort, command & ~kBusMaster);
  return (ReadConfig(address) & kBusMaster) == 0;
}

unsigned StopDevice(unsigned bus, unsigned device) {
  const uint32_t header = ReadConfig(Address(bus, device, 0, kHeaderRegister));
  const unsigned functions = header & kMultiFunction ? kFunctions : 1;
  unsigned stopped = 0;
  for (unsigned function = 0; function < functions; ++function) {
    const uint32_t function_id = ReadConfig(Address(bus, device, function, kIdRegister));
    if ((function_id & 0xffff) == kNoFunction) continue;
    stopped += StopFunction(bus, device, function) ? 1 : 0;
  }
  return stopped;
}

}  // namespace

unsigned StopPciBusMasters() {
  if (!HasConfigPorts()) return 0;
  unsigned stopped = 0;
  // All buses and not only those behind bridges: an extra root bus hangs from nothing.
  const uint32_t end = Address(kBuses, 0, 0, kIdRegister);
  const uint32_t step = Address(0, 1, 0, 0) - Address(0, 0, 0, 0);
  for (uint32_t address = Address(0, 0, 0, kIdRegister); address != end; address += step) {
    if ((ReadConfig(address) & 0xffff) == kNoFunction) continue;
    const unsigned number = (address & ~kEnable) / step;
    stopped += StopDevice(number / kDevices, number % kDevices);
  }
  return stopped;
}

}  // namespace arch
