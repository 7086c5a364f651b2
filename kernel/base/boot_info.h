// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

/// What every boot protocol ends in: the one description of the machine that the kernel starts
/// from. Filled by reading only; nothing outside the kernel's image is written before `KernelMain`
/// has decided what memory it may use.

namespace base {

enum class MemoryType : uint32_t {  ///< the e820 numbers, because x86 passes them on
  kRam = 1,
  kReserved = 2,
  kAcpi = 3,
  kNvs = 4,
  kUnusable = 5,
  /// Memory of UEFI's runtime services. Of the numbers that ACPI leaves to OEMs; a kernel that does
  /// not know it leaves the memory alone, which is all that is asked for.
  kRuntimeServices = 0xf0000001,
};

struct MemoryRegion {
  khocore::PhysRange range;
  MemoryType type;
};

/// What an EFI loader names of the firmware: for the next kernel, which may call it. Physical
/// addresses.
struct Firmware {
  khocore::PhysAddr system_table;  ///< null on a machine that no EFI loader started
  khocore::PhysRange map;          ///< EFI_MEMORY_DESCRIPTORs
  uint32_t descriptor_size;
  uint32_t descriptor_version;
  uint8_t secure_boot;       ///< Linux's enum efi_secureboot_mode
  khocore::PhysAddr tables;  ///< configuration tables; null where the system table has the address
};

/// A node of x86's setup_data that the next kernel gets as well. None on other architectures, whose
/// device tree is handed on as a whole.
struct SetupNode {
  uint32_t type;
  khocore::PhysRange payload;
  khocore::PhysRange
      buffer;        ///< memory that the payload points to and that moves with it, or empty
  uint32_t pointer;  ///< where in the payload its address stands
};

struct BootInfo {
  static constexpr size_t kMaxRegions = 256;
  static constexpr size_t kMaxCommandLine = 2048;
  static constexpr size_t kMaxSetupNodes = 16;

  const char* protocol;  ///< "pvh", "linux" (bzImage and Image), "efi" (those by an EFI loader)
  khocore::PhysAddr parameters;  ///< hvm_start_info, boot_params or device tree, as passed

  /// The machine's memory as firmware or the device tree describes it, in its order, unchecked.
  MemoryRegion regions[kMaxRegions];
  size_t region_count;
  size_t regions_dropped;  ///< regions that found no room in `regions`

  khocore::PhysRange image;        ///< this kernel in memory, zero-initialized data included
  khocore::PhysRange initrd;       ///< empty when there is none
  khocore::PhysAddr rsdp;          ///< ACPI root pointer, or null
  khocore::PhysRange device_tree;  ///< empty on machines without

  /// What the boot protocol handed over besides: memory that must stay until it has been read.
  khocore::PhysRange keep[8];
  size_t keep_count;

  Firmware firmware;
  SetupNode setup_nodes[kMaxSetupNodes];
  size_t setup_node_count;

  /// Whether the protocol carries Kexec HandOver. This is a cold boot when it does not; what it
  /// carries may be malformed, and is for the kernel to refuse: dropped here, its loss would go
  /// unreported.
  bool has_handover;
  khocore::PhysRange kho_root;  ///< empty when malformed, as the next
  khocore::PhysRange kho_scratch;

  char command_line[kMaxCommandLine];  ///< always terminated
  bool command_line_truncated;
};

}  // namespace base

/// Where every boot protocol ends. `info` is in the kernel's own image and stays.
[[noreturn]] void KernelMain(const base::BootInfo& info);
