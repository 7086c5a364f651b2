// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/testing/fake_pci.h"

namespace arch {

uint32_t ReadPciConfig(PciFunction at, unsigned offset) {
  drivers::FakeFunction* function = drivers::fake_pci->At(at);
  if (function == nullptr) return 0xffffffff;
  const uint32_t value = function->registers[offset];
  return value;
}

void WritePciConfig(PciFunction at, unsigned offset, uint32_t value) {
  drivers::FakeFunction* function = drivers::fake_pci->At(at);
  ++drivers::fake_pci->writes;
  if (function == nullptr) return drivers::fake_pci->wrong.push_back("write to no function");
  const uint32_t mask = function->writable[offset];
  uint32_t& old = function->registers[offset];
  old = (old & ~mask) | (value & mask);
  if (offset >= 0x10 && offset < 0x28 && value == ~uint32_t{0} && (function->command() & 2) != 0) {
    function->decoded_while_sized = true;
  }
}

uint8_t ReadPciConfigByte(PciFunction at, unsigned offset) {
  return static_cast<uint8_t>(ReadPciConfig(at, offset));
}

void WritePciConfigByte(PciFunction at, unsigned offset, uint8_t value) {
  WritePciConfig(at, offset, value);
}

void WritePciConfigWord(PciFunction at, unsigned offset, uint16_t value) {
  WritePciConfig(at, offset, value);
}

PciBuses FindPciBuses() { return drivers::fake_pci->buses; }
khocore::PhysRange FindPciMemory() { return drivers::fake_pci->memory; }
uint32_t FindPciDevices(unsigned bus) {
  uint32_t found = 0;
  for (const auto& [place, function] : drivers::fake_pci->functions) {
    const auto [on, device, number] = place;
    if (on == bus && number == 0) found |= uint32_t{1} << device;
  }
  return found;
}

}  // namespace arch
