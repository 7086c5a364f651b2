// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>

#include "kernel/arch/host/machine.h"
#include "kernel/kexec/linux_boot.h"

namespace kexec {

const unsigned kLinuxChecksumBits = 32;

bool ReadImageHeader(khocore::Span<const uint8_t> file, ImageHeader* header, const char** why) {
  host::Image image = {};
  if (file.size < sizeof(image)) {
    *why = "shorter than a header";
    return false;
  }
  memcpy(&image, file.data, sizeof(image));
  if (image.magic != host::kImageMagic || image.memory_bytes < file.size) {
    *why = "no image of the machine host";
    return false;
  }
  *header = {.payload_offset = 0,
             .payload_bytes = file.size,
             .memory_bytes = image.memory_bytes,
             .alignment = khocore::kPageSize,
             .minimum_address = 0,
             .entry_offset = 0,
             .initrd_window = image.initrd_window,
             .initrd_window_alignment = image.initrd_window == 0 ? 1 : image.initrd_window};
  return true;
}

}  // namespace kexec
