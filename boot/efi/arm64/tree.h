// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "boot/efi/memory_map.h"
#include "kernel/base/device_tree.h"
#include "kernel/kexec/linux_boot.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace efi {

/// Where the firmware's own structures are, for a kernel that wants them.
struct Firmware {
  uint64_t system_table;
  const MemoryMap& map;
};

/// Bytes that `BuildTree` needs at most for a firmware's tree of `tree_bytes`.
uint64_t TreeSize(uint64_t tree_bytes, const char* command_line);

/// Writes the firmware's tree for the kernel: memory as `next.info` has its regions, the runtime
/// services as reserved memory ("khorig,efi-runtime-services"), command line and initrd in /chosen,
/// and there also Linux's own properties by which it knows that UEFI started it. Errors:
/// `kNoSpace`, `kFdtStructure`.
khocore::Status BuildTree(const base::DeviceTree& tree, const kexec::NextBoot& next,
                          const Firmware& firmware, khocore::Span<uint8_t> buffer);

}  // namespace efi
