// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/rig/fault.h"

/// What faults get at the points of clients (kernel/rig/fault.h).

namespace clients {

/// What of the live device is kept across the jump.
struct LiveDeviceKept {
  bool has_iommu = false;
  bool tables = true;  ///< those of its IOMMU are preserved
  bool page = true;    ///< its page is preserved
  bool master = true;  ///< it stays a bus master
};

}  // namespace clients

namespace rig {

template <>
struct ContextOf<Point::kLiveDeviceKeeping> {
  using Type = clients::LiveDeviceKept;
};

}  // namespace rig
