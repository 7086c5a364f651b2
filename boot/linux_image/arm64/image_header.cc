// SPDX-License-Identifier: BSD-3-Clause
#include <stdint.h>
#include <string.h>

#include "kernel/kexec/linux_boot.h"

// Linux Documentation/arch/arm64/booting.rst, section 4, and what its kexec_image.c checks.

namespace kexec {

extern const unsigned kLinuxChecksumBits = 16;
namespace {

constexpr uint64_t kTextOffset = 0x08;
constexpr uint64_t kImageSize = 0x10;
constexpr uint64_t kFlags = 0x18;
constexpr uint64_t kMagic = 0x38;
constexpr uint64_t kHeaderBytes = 0x40;
constexpr char kMagicText[] = {'A', 'R', 'M', '\x64'};

constexpr uint64_t kFlagBigEndian = 1 << 0;
constexpr uint64_t kFlagPageShift = 1;
constexpr uint64_t kFlagPageMask = 3;
constexpr unsigned kPageShifts[] = {0, 12, 14, 16};

uint64_t LittleEndian64(const uint8_t* bytes) {
  uint64_t value = 0;
  for (unsigned i = 8; i-- != 0;) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

bool ReadImageHeader(khocore::Span<const uint8_t> file, ImageHeader* header, const char** why) {
  const auto refuse = [why](const char* text) {
    *why = text;
    return false;
  };
  if (file.size < kHeaderBytes) return refuse("shorter than the 64 bytes of an Image header");
  if (memcmp(file.data + kMagic, kMagicText, sizeof(kMagicText)) != 0) {
    return refuse("no \"ARM\\x64\" at 0x38");
  }
  const uint64_t image_size = LittleEndian64(file.data + kImageSize);
  if (image_size == 0) return refuse("image_size is 0 (a kernel before Linux 3.17)");
  if (image_size < file.size) return refuse("image_size is smaller than the file");
  const uint64_t flags = LittleEndian64(file.data + kFlags);
  if ((flags & kFlagBigEndian) != 0) return refuse("a big-endian kernel");
  if (LittleEndian64(file.data + kTextOffset) != 0) {
    return refuse("text_offset is not 0 (a kernel before Linux 5.8)");
  }
  *header = {.payload_offset = 0,
             .payload_bytes = file.size,
             .memory_bytes = image_size,
             .alignment = uint64_t{2} << 20,
             .minimum_address = 0,
             .entry_offset = 0,
             // The same section, of an initrd: "a 1 GB aligned physical memory window
             // of up to 32 GB in size that fully covers the kernel Image as well".
             .initrd_window = uint64_t{32} << 30,
             .initrd_window_alignment = uint64_t{1} << 30,
             .page_shift = kPageShifts[flags >> kFlagPageShift & kFlagPageMask]};
  return true;
}

}  // namespace kexec
