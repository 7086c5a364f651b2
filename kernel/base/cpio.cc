// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/cpio.h"

#include <string.h>

#include "kernel/base/hex.h"

namespace base {
namespace {

constexpr size_t kHeaderSize = 110;
constexpr size_t kFileSizeAt = 6 + 6 * 8;
constexpr size_t kNameSizeAt = 6 + 11 * 8;
constexpr size_t kDigits = 8;

}  // namespace

const char* CpioResultName(CpioResult result) {
  switch (result) {
    case CpioResult::kFound:
      return "found";
    case CpioResult::kNoSuchFile:
      return "no such file in the archive";
    case CpioResult::kBadMagic:
      return "not a cpio archive in newc format";
    case CpioResult::kTruncated:
      return "the archive is truncated";
  }
  return "?";
}

CpioResult FindInCpio(khocore::Span<const uint8_t> archive, const char* name,
                      khocore::Span<const uint8_t>* file) {
  size_t at = 0;
  while (archive.size - at >= kHeaderSize) {
    const uint8_t* header = archive.data + at;
    uint64_t file_size = 0;
    uint64_t name_size = 0;
    if (memcmp(header, "070701", 6) != 0 || !ReadHex(header + kFileSizeAt, kDigits, &file_size) ||
        !ReadHex(header + kNameSizeAt, kDigits, &name_size)) {
      return CpioResult::kBadMagic;
    }
    const uint64_t data = khocore::AlignUp(at + kHeaderSize + name_size, 4);
    const uint64_t next = khocore::AlignUp(data + file_size, 4);
    if (name_size == 0 || data + file_size > archive.size || header[kHeaderSize + name_size - 1]) {
      return CpioResult::kTruncated;
    }
    const char* entry = reinterpret_cast<const char*>(header + kHeaderSize);
    if (strcmp(entry, "TRAILER!!!") == 0) return CpioResult::kNoSuchFile;
    if (strcmp(entry, name) == 0) {
      *file = {archive.data + data, file_size};
      return CpioResult::kFound;
    }
    if (next > archive.size) return CpioResult::kTruncated;
    at = next;
  }
  return CpioResult::kTruncated;
}

}  // namespace base
