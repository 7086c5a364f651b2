// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

/// A flattened device tree (Devicetree Specification 0.4, chapter 5): the form of the root and of
/// every fragment. All numbers are big-endian.
///
///     FdtHeader
///     memory reservations   (u64 address, u64 size)*, the last one with size 0
///     structure block       tags of 4 bytes, at offsets that are multiples of 4:
///         kFdtBeginNode       the node's name, its NUL, zeros up to the next tag
///         kFdtProperty        FdtProperty, the value, zeros up to the next tag
///         kFdtEndNode, kFdtNop
///         kFdtEnd             the last one
///     strings block         the names of the properties, each with its NUL

namespace khocore::abi {

inline constexpr uint32_t kFdtMagic = 0xd00dfeed;
inline constexpr uint32_t kFdtVersion = 17;
/// The oldest version that readers of version 17 understand. Older trees have whole paths for
/// names.
inline constexpr uint32_t kFdtCompatibleVersion = 16;

struct FdtHeader {
  uint32_t magic;
  uint32_t total_size;    ///< bytes from the header to the end of the last block
  uint32_t structure;     ///< offset of the structure block
  uint32_t strings;       ///< offset of the strings block
  uint32_t reservations;  ///< offset of the memory reservations
  uint32_t version;
  uint32_t compatible_version;
  uint32_t boot_cpu;
  uint32_t strings_size;    ///< bytes
  uint32_t structure_size;  ///< bytes; absent before version 17
};
static_assert(sizeof(FdtHeader) == 40);

struct FdtReservation {
  uint64_t address;
  uint64_t size;
};
static_assert(sizeof(FdtReservation) == 16);

inline constexpr uint32_t kFdtTagSize = 4;
inline constexpr uint32_t kFdtBeginNode = 1;
inline constexpr uint32_t kFdtEndNode = 2;
inline constexpr uint32_t kFdtProperty = 3;
inline constexpr uint32_t kFdtNop = 4;
inline constexpr uint32_t kFdtEnd = 9;

struct FdtProperty {
  uint32_t tag;   ///< `kFdtProperty`
  uint32_t size;  ///< of the value, in bytes
  uint32_t name;  ///< offset in the strings block
};
static_assert(sizeof(FdtProperty) == 12);

}  // namespace khocore::abi
