// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"
#include "kernel/base/device_tree.h"
#include "khocore/types.h"

namespace boot {

/// Fills `info` with what the tree says about memory, reservations, command line, initrd and
/// handover, and with the tree itself at physical address `address`, which must also be kept. What
/// cannot be used is left out and reported to `note`. Leaves `image` alone, and `protocol` unless
/// an EFI loader wrote the tree.
void ReadBootInfo(const base::DeviceTree& tree, khocore::PhysAddr address, base::BootInfo* info,
                  base::Note note);

}  // namespace boot
