// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/page_source.h"
#include "khocore/types.h"

namespace drivers {

// Virtio 1.2, 2 and 3: what all transports have in common.

/// Where the parts of queue 0 lie (2.7).
struct VirtioQueue {
  static constexpr uint16_t kSize = 4;  ///< descriptors
  /// From the descriptors to the used ring: the layout of devices before 1.0, which is as good as
  /// any to later ones.
  static constexpr uint64_t kUsedOffset = 1024;
  static constexpr uint64_t kAvailableOffset = uint64_t{kSize} * 16;

  khocore::PhysAddr page;
};

/// How a driver reaches one device: by PCI (4.1) or by MMIO (4.2).
class VirtioTransport {
 public:
  virtual uint32_t DeviceType() = 0;
  virtual uint32_t Status() = 0;
  virtual void SetStatus(uint32_t status) = 0;
  /// Accepts VIRTIO_F_VERSION_1 and nothing else. False for a device before 1.0, which has no
  /// FEATURES_OK.
  virtual bool AcceptFeatures() = 0;
  /// Hands queue 0 to the device. False when it cannot have so many descriptors.
  virtual bool EnableQueue(const VirtioQueue& queue) = 0;
  /// Tells the device to look at queue 0.
  virtual void Notify() = 0;

 protected:
  ~VirtioTransport() = default;
};

/// Resets a device, after which it accesses no memory and its interrupt is not asserted. Returns
/// whether it was in use.
bool ResetVirtio(VirtioTransport& device);

/// What the rig lets devices write to.
struct PostedBuffers {
  static constexpr uint32_t kBytes = 64;  ///< of each buffer

  khocore::PageSource& pages;  ///< for queues and buffers; the kernel gives them up
  khocore::PhysAddr second;    ///< where the second buffer lies; null: in such a page, too
};

/// The reverse, for the rig: starts a device as a driver would. A source of entropy gets a queue
/// with two buffers, of which QEMU's fills as many as its rate (`max-bytes`, `period`) allows: one
/// that allows one at a time has the second one still to write when the kernel jumps. Others, and
/// all when there is no memory, are started without a queue.
void StartVirtio(VirtioTransport& device, const PostedBuffers& buffers);

}  // namespace drivers
