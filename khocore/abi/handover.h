// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// The root of a handover, version 4 (Linux 7.2 and 7.3, include/linux/kho/abi/kexec_handover.h).
///
/// The root is a flattened device tree in one preserved page. The FDT structure is big-endian as
/// always; the u64 values below are raw and CPU-native, at 4-byte alignment.
///
///     / {
///         compatible = "kho-v4";
///         preserved-memory-map = <u64>;   physical address of the radix tree's root node
///         <client> {
///             preserved-data = <u64>;     physical address of the client's blob
///             blob-size = <u64>;          its size in bytes, not zero
///         };
///     };
///
/// This is a contract between kernels: any change needs another `compatible`. A reader accepts its
/// own `compatible` and refuses every other.

namespace khocore::abi {

inline constexpr char kCompatible[] = "kho-v4";
inline constexpr char kCompatibleProperty[] = "compatible";
inline constexpr char kMemoryMapProperty[] = "preserved-memory-map";
inline constexpr char kDataProperty[] = "preserved-data";
inline constexpr char kSizeProperty[] = "blob-size";

}  // namespace khocore::abi
