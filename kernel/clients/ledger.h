// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/result.h"

namespace core {
struct Generation;
}

namespace clients {

/// The rig's own account: a store with the hash of every page that is preserved so far. Kept by
/// the guest and compared by guest and host on both sides of the jump.

/// Gives the memory of the previous generation's ledger back, if there is one. Errors: those of
/// `Stores::Remove`.
khocore::Status RemoveLedger(core::Generation& generation);

/// Makes the store "ledger"; what is preserved afterwards is not in it. Returns the number of
/// entries. Errors: those of stores, `kNoSpace` when the tracker changes meanwhile.
khocore::Result<uint64_t> WriteLedger(core::Generation& generation);

/// Hashes every page of the ledger again; each difference is a `mismatch` event and a `fail`.
void VerifyLedger(const core::Generation& generation);

}  // namespace clients
