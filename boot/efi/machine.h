// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "boot/efi/memory_map.h"
#include "boot/efi/services.h"
#include "kernel/base/boot_info.h"
#include "kernel/kexec/linux_boot.h"
#include "khocore/result.h"
#include "khocore/types.h"

/// What differs between architectures: x86_64/ and arm64/ implement every name here. The kernel is
/// entered by Linux's boot protocol of the architecture, with boot_params or a device tree that say
/// in the protocol's own words that an EFI loader made them.

namespace efi {

/// Reads the firmware's description of the machine besides memory, and fills in `rsdp` or
/// `device_tree` of `info`. Returns null, or what the kernel needs and the firmware does not have,
/// as text.
const char* FindMachine(const EFI_SYSTEM_TABLE& system, base::BootInfo* info);

/// Bytes that `BuildKernelParameters` needs at most, however many regions memory turns out to have.
uint64_t KernelParametersSize(const kexec::NextBoot& boot);

/// Writes the kernel's boot parameters into the pages at `place`. Uses no service of the firmware.
/// Errors: `kNoSpace`, `kFdtStructure`.
khocore::Status BuildKernelParameters(const kexec::NextBoot& boot, const MemoryMap& map,
                                      const EFI_SYSTEM_TABLE& system, khocore::PhysRange place);

/// Enters the kernel with interrupts off and everything in `loaded` written back to memory, where
/// the kernel sees it with its caches off.
[[noreturn]] void EnterKernel(khocore::PhysAddr entry, khocore::PhysAddr parameters,
                              khocore::Span<const khocore::PhysRange> loaded);

}  // namespace efi
