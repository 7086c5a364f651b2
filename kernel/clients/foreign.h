// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/result.h"

namespace core {
struct Generation;
}

namespace clients {

/// What another kernel handed over and this one does not own: it goes on to the next kernel as it
/// came, block for block and subtree for subtree. That is whatever nobody has restored.

/// Says what was handed over: one `client` event for each subtree of the root.
void ReportClients(const core::Generation& generation);

/// Preserves every block that was handed over and not restored, with the order it came with.
/// Errors: `Tracker::Preserve`'s.
khocore::Status PreserveForeign(core::Generation& generation);

/// Adds every subtree whose blob was not restored to the new root. The incoming root page must
/// still be as it came. Errors: those of links, and `Outgoing::AddClient`'s.
khocore::Status AddForeignClients(core::Generation& generation);

}  // namespace clients
