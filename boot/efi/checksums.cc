// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/checksums.h"

#include <string.h>

#include "kernel/base/hex.h"

namespace efi {

using khocore::Span;

namespace {

constexpr size_t kDigits = 16;
constexpr size_t kNameAt = kDigits + 2;

/// Lower case alone, as the list is written.
bool ReadChecksum(const uint8_t* digits, uint64_t* value) {
  for (size_t i = 0; i < kDigits; ++i) {
    if (digits[i] >= 'A' && digits[i] <= 'F') return false;
  }
  return base::ReadHex(digits, kDigits, value);
}

}  // namespace

ChecksumResult FindChecksum(Span<const uint8_t> list, const char* name, uint64_t* checksum) {
  const size_t name_length = strlen(name);
  for (size_t at = 0; at < list.size;) {
    size_t end = at;
    while (end < list.size && list.data[end] != '\n') ++end;
    const size_t length = end - at;
    uint64_t value = 0;
    if (length <= kNameAt || !ReadChecksum(list.data + at, &value) ||
        list.data[at + kDigits] != ' ') {
      return ChecksumResult::kMalformed;
    }
    if (length - kNameAt == name_length &&
        memcmp(list.data + at + kNameAt, name, name_length) == 0) {
      *checksum = value;
      return ChecksumResult::kListed;
    }
    at = end + 1;
  }
  return ChecksumResult::kNotListed;
}

}  // namespace efi
