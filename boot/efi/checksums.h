// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

namespace efi {

/// What a list of checksums says of a file.
enum class Listing : uint8_t {
  kListed,
  kNotListed,
  kMalformed,  ///< the list is none
};

/// Finds `name` in a list as `xxhsum -H1` writes it: 16 hexadecimal digits of XXH64, two characters
/// (a space, and a space or `*`), the name, end of line. The bytes are untrusted.
Listing FindChecksum(khocore::Span<const uint8_t> list, const char* name, uint64_t* checksum);

}  // namespace efi
