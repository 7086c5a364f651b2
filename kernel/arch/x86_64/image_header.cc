// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arch.h"
#include "kernel/arch/x86_64/bzimage.h"
#include "kernel/arch/x86_64/io.h"

namespace arch {

bool ReadImageHeader(khocore::Span<const uint8_t> file, ImageHeader* header, const char** why) {
  return ParseBzImage(file, PagingLevels(), header, why);
}

}  // namespace arch
