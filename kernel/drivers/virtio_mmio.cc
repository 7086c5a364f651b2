// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/virtio_mmio.h"

#include <stdint.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/devices.h"

namespace drivers {

using arch::ReadDevice;
using arch::WriteDevice;
using khocore::PhysAddr;

namespace {

constexpr uint64_t kMagic = 0x000;
constexpr uint64_t kVersion = 0x004;
constexpr uint64_t kDeviceId = 0x008;
constexpr uint64_t kDriverFeatures = 0x020;
constexpr uint64_t kDriverFeaturesSelect = 0x024;
constexpr uint64_t kStatus = 0x070;

constexpr uint32_t kVirtioMagic = 0x74726976;  // "virt"
constexpr uint32_t kLegacy = 1;
constexpr uint32_t kFeatureVersion1 = 1;  // in the second word: feature 32
constexpr uint32_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8;
constexpr unsigned kMaxPolls = 1 << 16;

void ForEachDevice(khocore::FunctionRef<void(PhysAddr)> visit) {
  arch::ForEachVirtioTransport([&](PhysAddr registers) {
    if (ReadDevice(registers + kMagic) != kVirtioMagic) return;
    if (ReadDevice(registers + kDeviceId) != 0) visit(registers);
  });
}

}  // namespace

unsigned StopVirtioDevices() {
  unsigned used = 0;
  ForEachDevice([&](PhysAddr registers) {
    if (ReadDevice(registers + kStatus) == 0) return;
    WriteDevice(registers + kStatus, 0);
    for (unsigned i = 0; i < kMaxPolls && ReadDevice(registers + kStatus) != 0; ++i) arch::Pause();
    ++used;
  });
  return used;
}

unsigned StartVirtioDevices() {
  unsigned devices = 0;
  ForEachDevice([&](PhysAddr registers) {
    uint32_t status = kAcknowledge | kDriver;
    WriteDevice(registers + kStatus, status);
    if (ReadDevice(registers + kVersion) != kLegacy) {
      WriteDevice(registers + kDriverFeaturesSelect, 1);
      WriteDevice(registers + kDriverFeatures, kFeatureVersion1);
      WriteDevice(registers + kStatus, status |= kFeaturesOk);
    }
    WriteDevice(registers + kStatus, status | kDriverOk);
    ++devices;
  });
  return devices;
}

}  // namespace drivers
