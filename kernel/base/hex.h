// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace base {

/// The value of a hexadecimal digit of either case; 16 for any other byte.
constexpr unsigned HexDigit(uint8_t c) {
  if (c >= '0' && c <= '9') return c - unsigned{'0'};
  if (c >= 'a' && c <= 'f') return c - unsigned{'a'} + 10;
  if (c >= 'A' && c <= 'F') return c - unsigned{'A'} + 10;
  return 16;
}

/// Reads a number of exactly `count` hexadecimal digits, at most 16. False when one is none.
constexpr bool ReadHex(const uint8_t* digits, size_t count, uint64_t* value) {
  *value = 0;
  for (size_t i = 0; i < count; ++i) {
    const unsigned digit = HexDigit(digits[i]);
    if (digit == 16) return false;
    *value = *value << 4 | digit;
  }
  return true;
}

}  // namespace base
