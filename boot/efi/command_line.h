// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "boot/efi/services.h"
#include "khocore/types.h"

namespace efi {

/// The result of reading a command line.
enum class LineResult : uint8_t {
  kGood,
  kEmpty,
  kTooLong,
  kNotAscii,
};

/// The load options as a command line. Those that a firmware shell writes begin with the name of
/// the application, "loader.efi", which is left out. `line` has room for `room` characters, the
/// final zero included.
LineResult ReadLoadOptions(const void* options, size_t bytes, char* line, size_t room);

/// The first line of a text file, without what is blank at its end.
LineResult ReadFirstLine(khocore::Span<const uint8_t> file, char* line, size_t room);

}  // namespace efi
