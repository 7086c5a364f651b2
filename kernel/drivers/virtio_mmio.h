// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/drivers/virtio.h"
#include "khocore/function_ref.h"

namespace drivers {

/// Calls `visit` for each virtio-mmio device (virtio 1.2, 4.2): not behind PCI, so there is no bus
/// mastering to take away.
void ForEachVirtioMmio(khocore::FunctionRef<void(VirtioTransport&)> visit);

}  // namespace drivers
