// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/client.h"
#include "khocore/abi/clients.h"
#include "khocore/result.h"

namespace clients {

// Who ran before and how many jumps there were (Linux's `kexec-metadata` subtree).

/// Reads the previous kernel's record, if there is one, and prints it; a number of jumps that does
/// not lead to this generation is a `fail` event. Errors: `kBlobSizeRange` for a record that is too
/// short, `kPropertySize` for another version, and those of restoring.
khocore::Status RestoreGenerationRecord(handover::Incoming& incoming);

/// Writes and preserves the record for the next kernel and adds it to the root.
khocore::Status SerializeGenerationRecord(handover::Outgoing& outgoing);

inline constexpr handover::Client kGenerationRecord = {.name = khocore::abi::kMetadataClient,
                                                       .final_pages = 1,
                                                       .restore = RestoreGenerationRecord,
                                                       .serialize = SerializeGenerationRecord};

}  // namespace clients
