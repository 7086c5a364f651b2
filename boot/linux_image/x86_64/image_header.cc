// SPDX-License-Identifier: BSD-3-Clause
#include "boot/linux_image/x86_64/bzimage.h"
#include "kernel/arch/x86_64/io.h"
#include "kernel/kexec/linux_boot.h"

namespace kexec {

using boot::ParseBzImage;

const unsigned kLinuxChecksumBits = 32;

bool ReadImageHeader(khocore::Span<const uint8_t> file, ImageHeader* header, const char** why) {
  return ParseBzImage(file, arch::PagingLevels(), header, why);
}

}  // namespace kexec
