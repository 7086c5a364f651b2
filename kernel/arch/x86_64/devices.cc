// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/devices.h"

#include "kernel/arch/mmu.h"
#include "kernel/arch/x86_64/acpi.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/arch/x86_64/mmu.h"

namespace arch {

using khocore::PhysAddr;

namespace {

// Configuration mechanism 1: an address port and a data port (PCI Local Bus 3.0, 3.2.2.3.2).
constexpr uint16_t kAddressPort = 0xcf8;
constexpr uint16_t kDataPort = 0xcfc;
constexpr uint32_t kEnable = uint32_t{1} << 31;
constexpr unsigned kBuses = 256;

bool HasConfigPorts() {
  OutLong(kAddressPort, kEnable);
  return InLong(kAddressPort) == kEnable;
}

void Select(PciFunction function, unsigned offset) {
  OutLong(kAddressPort,
          kEnable | function.bus << 16 | function.device << 11 | function.function << 8 | offset);
}

}  // namespace

uint32_t ReadDevice(PhysAddr address) {
  return *reinterpret_cast<volatile uint32_t*>(address.raw());
}
void WriteDevice(PhysAddr address, uint32_t value) {
  *reinterpret_cast<volatile uint32_t*>(address.raw()) = value;
}

/// By ports, which every PC has but QEMU's microvm. That describes its PCIe in AML only, and has no
/// MCFG.
PciBuses FindPciBuses() { return {0, HasConfigPorts() ? kBuses : 0}; }

uint32_t FindPciDevices(unsigned bus) {
  constexpr uint32_t kDevice = 1 << 11, kNoVendor = 0xffff;
  uint32_t id = kEnable | bus << 16;
  uint32_t found = 0;
  for (uint32_t bit = 1; bit != 0; bit <<= 1, id += kDevice) {
    OutLong(kAddressPort, id);
    if ((InLong(kDataPort) & kNoVendor) != kNoVendor) found |= bit;
  }
  return found;
}

uint32_t ReadPciConfig(PciFunction function, unsigned offset) {
  Select(function, offset);
  return InLong(kDataPort);
}

void WritePciConfig(PciFunction function, unsigned offset, uint32_t value) {
  Select(function, offset);
  OutLong(kDataPort, value);
}

/// QEMU's qboot assigns no BAR. On each of QEMU's PCs this lies above RAM and ECAM, and below the
/// interrupt controllers and the flash; firmware that does assign takes what it wants first.
khocore::PhysRange FindPciMemory() {
  constexpr uint64_t kBegin = 0xf0000000, kEnd = 0xfc000000;
  return {PhysAddr::FromRaw(kBegin), HasConfigPorts() ? kEnd - kBegin : 0};
}

uint8_t ReadPciConfigByte(PciFunction function, unsigned offset) {
  Select(function, offset & ~3u);
  return InByte(static_cast<uint16_t>(kDataPort + (offset & 3)));
}

void WritePciConfigByte(PciFunction function, unsigned offset, uint8_t value) {
  Select(function, offset & ~3u);
  OutByte(static_cast<uint16_t>(kDataPort + (offset & 3)), value);
}

void WritePciConfigWord(PciFunction function, unsigned offset, uint16_t value) {
  Select(function, offset & ~3u);
  OutWord(static_cast<uint16_t>(kDataPort + (offset & 2)), value);
}

IommuPlace FindIommu(const base::BootInfo& info) {
  // What is wrong with firmware's tables the search for CPUs has printed.
  const auto map = [](khocore::PhysRange range) { return FindFirmwareBytes(range); };
  const auto note = [](const char*, uint64_t) {};
  const PhysAddr unit = ReadRemappingUnit(info.rsdp, base::BootReader(map, note));
  if (unit.is_null()) return {};
  return {IommuKind::kVtd, unit};
}

/// Devices see the caches of this CPU, and stores in their order.
void PublishToDevices() { asm volatile("" ::: "memory"); }

/// Those of QEMU's microvm (hw/i386/microvm.h), which has no configuration ports and describes its
/// devices in AML only. Any other machine may have something else at this address.
void ForEachVirtioTransport(khocore::FunctionRef<void(PhysAddr)> visit) {
  constexpr uint64_t kAddress = 0xfeb00000, kStride = 512, kCount = 24;
  const PhysAddr first = PhysAddr::FromRaw(kAddress);
  if (HasConfigPorts() || !MapDevice({first, kCount * kStride}).ok()) return;
  for (uint64_t i = 0; i < kCount; ++i) visit(first + i * kStride);
}

}  // namespace arch
