// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace drivers {

// Virtio 1.2, 4.2: devices that are not behind PCI, and so have no bus mastering to take away.

/// Resets every virtio-mmio device, after which it accesses no memory. Returns how many were in
/// use.
unsigned StopVirtioDevices();

/// The reverse, for the rig: starts every device as a driver would, without a queue. Returns how
/// many there are.
unsigned StartVirtioDevices();

}  // namespace drivers
