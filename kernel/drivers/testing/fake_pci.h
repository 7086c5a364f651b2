// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "kernel/arch/devices.h"

namespace drivers {

/// A PCI function as its registers are. Those of BARs accept the bits that `writable` has.
struct FakeFunction {
  std::map<unsigned, uint32_t> registers;
  std::map<unsigned, uint32_t> writable = {{0x04, 0xffff}};
  bool decoded_while_sized = false;

  FakeFunction& Bar(unsigned number, uint32_t flags, uint32_t size, uint32_t address = 0) {
    registers[0x10 + number * 4] = address | flags;
    writable[0x10 + number * 4] = ~(size - 1);
    return *this;
  }
  uint32_t& command() { return registers[0x04]; }
};

inline FakeFunction FakeDevice(uint32_t id) { return {.registers = {{0x00, id}, {0x04, 0}}}; }

/// `window` in the form of the register.
inline FakeFunction FakeBridge(uint32_t secondary, uint32_t subordinate, uint32_t window = 0) {
  FakeFunction bridge = FakeDevice(0x000c1b36);
  bridge.registers[0x0c] = 1 << 16;
  bridge.registers[0x18] = subordinate << 16 | secondary << 8;
  bridge.registers[0x20] = window;
  bridge.writable[0x20] = 0xfff0fff0;
  return bridge;
}

/// Configuration space whose buses have numbers, as firmware or a driver has left them.
struct FakePci {
  std::map<std::tuple<unsigned, unsigned, unsigned>, FakeFunction> functions;
  arch::PciBuses buses{0, 256};
  khocore::PhysRange memory;
  std::vector<std::string> wrong;  ///< accesses that no driver should make
  unsigned writes = 0;

  FakeFunction* At(arch::PciFunction at) {
    const auto found = functions.find({at.bus, at.device, at.function});
    return found == functions.end() ? nullptr : &found->second;
  }
};

/// The one that `arch` reaches; set by a test.
inline FakePci* fake_pci = nullptr;

}  // namespace drivers
