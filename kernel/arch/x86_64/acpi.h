// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/boot_reader.h"
#include "kernel/base/node_map.h"
#include "khocore/types.h"

namespace arch {

/// The processors that the MADT names (ACPI 6.5, 5.2.12).
struct Processors {
  static constexpr size_t kMax = 64;
  uint8_t apic_ids[kMax] = {};  ///< those that xAPIC can address, in the order of the table
  size_t count = 0;             ///< of `apic_ids`
  size_t found = 0;             ///< that are enabled, whether there was room for them or not
};

/// Follows the RSDP at `rsdp` to the MADT. Firmware's tables are untrusted: lengths and checksums
/// are checked, what cannot be used is left out and reported to `reader`. Finds none when there is
/// no MADT.
Processors ReadProcessors(khocore::PhysAddr rsdp, const base::BootReader& reader);

/// The same to the SRAT (ACPI 6.5, 5.2.16), whose memory is added to `nodes`. None is when there is
/// no SRAT, or one that contradicts itself.
void ReadNodes(khocore::PhysAddr rsdp, const base::BootReader& reader, base::NodeMap* nodes);
/// The registers of the first remapping unit that the DMAR names (VT-d 3.4, 8.3), checked as above;
/// null when there is none.
khocore::PhysAddr ReadRemappingUnit(khocore::PhysAddr rsdp, const base::BootReader& reader);

}  // namespace arch
