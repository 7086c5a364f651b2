// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/devices.h"
#include "kernel/drivers/virtio.h"

namespace drivers {

/// A virtio device behind PCI (virtio 1.2, 4.1). Its registers are accessed through the capability
/// for that in configuration space (4.1.4.9), which works whether or not anybody has given the
/// function addresses.
class VirtioPci final : public VirtioTransport {
 public:
  /// Whether the function is one, and has the capabilities. Called before the rest, which needs it.
  bool Open(arch::PciFunction function);

  uint32_t DeviceType() override { return type_; }
  uint32_t Status() override;
  void SetStatus(uint32_t status) override;
  bool AcceptFeatures() override;
  bool EnableQueue(const VirtioQueue& queue) override;
  void Notify() override;

 private:
  /// A structure in a BAR.
  struct Structure {
    uint32_t bar = 0;
    uint32_t offset = 0;
  };

  uint32_t Read(uint32_t offset, uint32_t size);
  void Write(Structure in, uint32_t offset, uint32_t size, uint32_t value);
  // Called from many places, none of which is in a hurry.
  __attribute__((noinline)) void Select(Structure in, uint32_t offset, uint32_t size);
  __attribute__((noinline)) void WriteCommon(uint32_t offset, uint32_t size, uint32_t value);
  void FindCapabilities();

  arch::PciFunction function_{};
  uint32_t type_ = 0;
  unsigned window_ = 0;  ///< where the capability for access lies; 0: there is none
  bool has_common_ = false;
  bool has_notify_ = false;
  Structure common_;
  Structure notify_;
  uint32_t notify_multiplier_ = 0;
};

}  // namespace drivers
