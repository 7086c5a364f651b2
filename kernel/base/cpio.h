// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "khocore/types.h"

namespace base {

/// What a search in a cpio archive ended with.
enum class CpioResult : uint8_t {
  kFound,
  kNoSuchFile,
  kBadMagic,   ///< a header without "070701" where one must be
  kTruncated,  ///< a header, name or file reaches beyond the archive, or no trailer
};
/// In words, static storage.
const char* CpioResultName(CpioResult result);

/// Finds `name` in a cpio archive in the "new ASCII" format (newc; cpio(5)): per file a header of
/// 110 characters, the name and the data, each padded to 4 bytes; the last is "TRAILER!!!". The
/// bytes are untrusted. `*file` is a view into `archive`.
CpioResult FindInCpio(khocore::Span<const uint8_t> archive, const char* name,
                      khocore::Span<const uint8_t>* file);

}  // namespace base
