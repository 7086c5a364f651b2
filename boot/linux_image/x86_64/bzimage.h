// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/kexec/linux_boot.h"
#include "khocore/types.h"

namespace boot {

/// Reads and checks the setup header of a bzImage, untrusted bytes: everything Linux's
/// kexec_file_load asks of an image for its 64-bit entry. `paging_levels` is how the jump will be
/// made; an image that cannot be entered that way is refused. False with the reason in `*why`.
bool ParseBzImage(khocore::Span<const uint8_t> file, unsigned paging_levels,
                  kexec::ImageHeader* header, const char** why);

}  // namespace boot
