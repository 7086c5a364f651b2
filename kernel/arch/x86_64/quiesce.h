// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace arch {

/// Switches bus mastering off for every PCI function that can be reached through the configuration
/// ports. Returns how many had it on; 0 where there are no such ports, as on QEMU's microvm.
unsigned StopPciBusMasters();

}  // namespace arch
