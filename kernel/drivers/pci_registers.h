// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

// Configuration space: PCI local bus specification 3.0, 6.1 and 6.2; PCI-to-PCI bridge architecture
// 1.2, 3.2.

namespace drivers::pci {

inline constexpr unsigned kId = 0x00;
inline constexpr unsigned kCommand = 0x04;  // status above it, where writing 0 changes nothing
inline constexpr unsigned kHeader = 0x0c;
inline constexpr unsigned kBars = 0x10;
inline constexpr unsigned kBusNumbers = 0x18;    // bridges only, as what follows
inline constexpr unsigned kMemoryWindow = 0x20;  // base in the lower half, last in the upper

inline constexpr uint32_t kCommandMask = 0xffff;
inline constexpr uint32_t kDecodeMemory = 1 << 1;
inline constexpr uint32_t kBusMaster = 1 << 2;
inline constexpr uint32_t kMultifunction = 1 << 23;
inline constexpr uint32_t kLayoutMask = 0x7f << 16;
inline constexpr uint32_t kBridgeLayout = 1 << 16;

inline constexpr uint32_t kBarIsPorts = 1;
inline constexpr uint32_t kBarTypeMask = 6;
inline constexpr uint32_t kBar64 = 4;
inline constexpr uint32_t kBarFlags = 0xf;

constexpr unsigned Secondary(uint32_t bus_numbers) { return bus_numbers >> 8 & 0xff; }
constexpr unsigned Subordinate(uint32_t bus_numbers) { return bus_numbers >> 16 & 0xff; }

}  // namespace drivers::pci
