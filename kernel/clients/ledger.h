// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/client.h"
#include "khocore/abi/clients.h"
#include "khocore/result.h"

namespace clients {

// The rig's own account: the store "ledger" with the hash of every page that is preserved when the
// ledger is written. Kept by the guest and compared by guest and host on both sides of the jump. It
// comes and goes as any other store; what is written after it is not in it.

/// Hashes every page of the ledger again; each difference is a `mismatch` event and a `fail`, and
/// so is a ledger that is not there.
void VerifyLedger(handover::Incoming& incoming);
/// Frees the previous generation's ledger. Errors: those of `Stores::Remove`.
khocore::Status RemoveLedger(handover::Generation& generation);
/// Writes and preserves the ledger. Errors: those of stores, `kNoSpace` when the tracker changes
/// meanwhile.
khocore::Status WriteLedger(handover::Outgoing& outgoing);

inline constexpr handover::Client kLedger = {.name = khocore::abi::kLedgerStore,
                                             .verify = VerifyLedger,
                                             .adopt = RemoveLedger,
                                             .freeze = WriteLedger};

}  // namespace clients
