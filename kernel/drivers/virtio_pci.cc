// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/virtio_pci.h"

namespace drivers {

using arch::PciFunction;
using arch::ReadPciConfig;
using arch::WritePciConfig;

namespace {

constexpr unsigned kId = 0x00;
constexpr unsigned kStatusAndCommand = 0x04;
constexpr unsigned kSubsystem = 0x2c;
constexpr unsigned kCapabilities = 0x34;
constexpr uint32_t kHasCapabilities = 1 << 20;
constexpr uint32_t kVendorSpecific = 0x09;
constexpr unsigned kMostCapabilities = 48;  // that have room in 192 bytes

constexpr uint32_t kVirtioVendor = 0x1af4;
constexpr uint32_t kFirstDevice = 0x1000, kFirstModern = 0x1040, kLastDevice = 0x107f;

// Structure types, and fields of a capability.
constexpr uint32_t kCommonType = 1, kNotifyType = 2, kAccessType = 5;
constexpr unsigned kBar = 4, kOffset = 8, kLength = 12, kData = 16;
constexpr unsigned kMultiplier = 16;

// The common configuration structure (4.1.4.3).
constexpr uint32_t kDriverFeatureSelect = 0x08;
constexpr uint32_t kDriverFeature = 0x0c;
constexpr uint32_t kDeviceStatus = 0x14;
constexpr uint32_t kQueueSelect = 0x16;
constexpr uint32_t kQueueSize = 0x18;
constexpr uint32_t kQueueEnable = 0x1c;
constexpr uint32_t kQueueNotifyOffset = 0x1e;
constexpr uint32_t kQueueDescriptors = 0x20;

constexpr uint32_t kFeatureVersion1 = 1;  // in the second word: feature 32

}  // namespace

bool VirtioPci::Open(PciFunction function) {
  const uint32_t id = ReadPciConfig(function, kId);
  const uint32_t device = id >> 16;
  if ((id & 0xffff) != kVirtioVendor || device < kFirstDevice || device > kLastDevice) return false;
  function_ = function;
  const bool is_modern = device >= kFirstModern;
  type_ = is_modern ? device - kFirstModern : ReadPciConfig(function, kSubsystem) >> 16;
  FindCapabilities();
  return window_ != 0 && has_common_ && has_notify_;
}

/// The first of each type is the one that the device prefers.
void VirtioPci::FindCapabilities() {
  if ((ReadPciConfig(function_, kStatusAndCommand) & kHasCapabilities) == 0) return;
  unsigned at = ReadPciConfig(function_, kCapabilities) & 0xfc;
  for (unsigned i = 0; i < kMostCapabilities && at != 0; ++i) {
    const uint32_t head = ReadPciConfig(function_, at);
    if ((head & 0xff) == kVendorSpecific) {
      const Structure in{ReadPciConfig(function_, at + kBar) & 0xff,
                         ReadPciConfig(function_, at + kOffset)};
      const uint32_t type = head >> 24;
      if (type == kCommonType && !has_common_) {
        common_ = in;
        has_common_ = true;
      } else if (type == kNotifyType && !has_notify_) {
        notify_ = in;
        notify_multiplier_ = ReadPciConfig(function_, at + kMultiplier);
        has_notify_ = true;
      } else if (type == kAccessType && window_ == 0) {
        window_ = at;
      }
    }
    at = head >> 8 & 0xfc;
  }
}

void VirtioPci::Select(Structure in, uint32_t offset, uint32_t size) {
  WritePciConfig(function_, window_ + kBar, in.bar);
  WritePciConfig(function_, window_ + kOffset, in.offset + offset);
  WritePciConfig(function_, window_ + kLength, size);
}

uint32_t VirtioPci::Read(uint32_t offset, uint32_t size) {
  Select(common_, offset, size);
  const uint32_t value = ReadPciConfig(function_, window_ + kData);
  return size == 4 ? value : value & ((1u << 8 * size) - 1);
}

void VirtioPci::Write(Structure in, uint32_t offset, uint32_t size, uint32_t value) {
  Select(in, offset, size);
  WritePciConfig(function_, window_ + kData, value);
}

void VirtioPci::WriteCommon(uint32_t offset, uint32_t size, uint32_t value) {
  Write(common_, offset, size, value);
}

uint32_t VirtioPci::Status() { return Read(kDeviceStatus, 1); }

void VirtioPci::SetStatus(uint32_t status) { WriteCommon(kDeviceStatus, 1, status); }

bool VirtioPci::AcceptFeatures() {
  WriteCommon(kDriverFeatureSelect, 4, 0);
  WriteCommon(kDriverFeature, 4, 0);
  WriteCommon(kDriverFeatureSelect, 4, 1);
  WriteCommon(kDriverFeature, 4, kFeatureVersion1);
  return true;
}

bool VirtioPci::EnableQueue(const VirtioQueue& queue) {
  WriteCommon(kQueueSelect, 2, 0);
  if (Read(kQueueSize, 2) < VirtioQueue::kSize) return false;
  WriteCommon(kQueueSize, 2, VirtioQueue::kSize);
  constexpr uint64_t kOffsets[] = {0, VirtioQueue::kAvailableOffset, VirtioQueue::kUsedOffset};
  uint32_t at = kQueueDescriptors;  // of three registers with 64 bits
  for (const uint64_t offset : kOffsets) {
    const uint64_t address = (queue.page + offset).raw();
    WriteCommon(at, 4, static_cast<uint32_t>(address));
    WriteCommon(at + 4, 4, static_cast<uint32_t>(address >> 32));
    at += 8;
  }
  WriteCommon(kQueueEnable, 2, 1);
  return true;
}

void VirtioPci::Notify() {
  WriteCommon(kQueueSelect, 2, 0);
  Write(notify_, Read(kQueueNotifyOffset, 2) * notify_multiplier_, 2, 0);
}

}  // namespace drivers
