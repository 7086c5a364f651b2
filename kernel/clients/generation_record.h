// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/result.h"

namespace core {
struct Generation;
}

namespace clients {

/// Who ran before and how many jumps there were (Linux's `kexec-metadata` subtree).

/// The number of jumps so far as the previous kernel recorded it, 0 without a record. Takes the
/// record's page back. Errors: `kBlobSizeRange` for a record that is too short, `kPropertySize` for
/// another version, and those of restoring.
khocore::Result<uint32_t> RestoreGenerationRecord(core::Generation& generation);

/// Writes and preserves the record for the next kernel, `kexec_count` being its own number of
/// jumps, and adds it to the root.
khocore::Status SerializeGenerationRecord(core::Generation& generation, uint32_t kexec_count);

}  // namespace clients
