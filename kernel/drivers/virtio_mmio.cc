// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/virtio_mmio.h"

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
constexpr uint64_t kPageBytes = 0x028;  // this, alignment and page number: before 1.0 only
constexpr uint64_t kQueueSelect = 0x030;
constexpr uint64_t kQueueMaximum = 0x034;
constexpr uint64_t kQueueSize = 0x038;
constexpr uint64_t kQueueAlignment = 0x03c;
constexpr uint64_t kQueuePage = 0x040;
constexpr uint64_t kQueueReady = 0x044;
constexpr uint64_t kQueueNotify = 0x050;
constexpr uint64_t kStatus = 0x070;
constexpr uint64_t kQueueDescriptors = 0x080;  // these three have 64 bits
constexpr uint64_t kQueueAvailable = 0x090;
constexpr uint64_t kQueueUsed = 0x0a0;

constexpr uint32_t kVirtioMagic = 0x74726976;  // "virt"
constexpr uint32_t kLegacy = 1;
constexpr uint32_t kFeatureVersion1 = 1;  // in the second word: feature 32

class Mmio final : public VirtioTransport {
 public:
  explicit Mmio(PhysAddr registers)
      : registers_(registers), is_legacy_(ReadDevice(registers + kVersion) == kLegacy) {}

  uint32_t DeviceType() override { return ReadDevice(registers_ + kDeviceId); }
  uint32_t Status() override { return ReadDevice(registers_ + kStatus); }
  void SetStatus(uint32_t status) override { Write(kStatus, status); }

  bool AcceptFeatures() override {
    if (is_legacy_) return false;
    Write(kDriverFeaturesSelect, 1);
    Write(kDriverFeatures, kFeatureVersion1);
    return true;
  }

  bool EnableQueue(const VirtioQueue& queue) override {
    Write(kQueueSelect, 0);
    if (ReadDevice(registers_ + kQueueMaximum) < VirtioQueue::kSize) return false;
    Write(kQueueSize, VirtioQueue::kSize);
    if (is_legacy_) {
      Write(kPageBytes, khocore::kPageSize);
      Write(kQueueAlignment, VirtioQueue::kUsedOffset);
      Write(kQueuePage, static_cast<uint32_t>(queue.page.raw() / khocore::kPageSize));
      return true;
    }
    Write64(kQueueDescriptors, queue.page);
    Write64(kQueueAvailable, queue.page + VirtioQueue::kAvailableOffset);
    Write64(kQueueUsed, queue.page + VirtioQueue::kUsedOffset);
    Write(kQueueReady, 1);
    return true;
  }

  void Notify() override { Write(kQueueNotify, 0); }

 private:
  void Write(uint64_t at, uint32_t value) { WriteDevice(registers_ + at, value); }
  void Write64(uint64_t at, PhysAddr value) {
    Write(at, static_cast<uint32_t>(value.raw()));
    Write(at + 4, static_cast<uint32_t>(value.raw() >> 32));
  }

  PhysAddr registers_;
  bool is_legacy_;  ///< a device before 1.0
};

}  // namespace

void ForEachVirtioMmio(khocore::FunctionRef<void(VirtioTransport&)> visit) {
  arch::ForEachVirtioTransport([&](PhysAddr registers) {
    if (ReadDevice(registers + kMagic) != kVirtioMagic) return;
    if (ReadDevice(registers + kDeviceId) == 0) return;
    Mmio device(registers);
    visit(device);
  });
}

}  // namespace drivers
