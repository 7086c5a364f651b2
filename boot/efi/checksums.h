// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

namespace efi {

/// The result of `FindChecksum`.
enum class ChecksumResult : uint8_t {
  kListed,
  kNotListed,
  kMalformed,  ///< not a list of that format
};

/// Finds `name` in a list as `xxhsum -H1` writes it: 16 hexadecimal digits of XXH64, two characters
/// (a space, and a space or `*`), the name, end of line. The bytes are untrusted.
ChecksumResult FindChecksum(khocore::Span<const uint8_t> list, const char* name,
                            uint64_t* checksum);

}  // namespace efi
