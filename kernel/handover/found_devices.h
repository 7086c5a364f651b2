// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace handover {

/// Prints the `found` event: what of devices the predecessor has left on, looked at before this
/// kernel touches any. Of PCI only what hangs from the first root bus, by bridges with numbers: a
/// look at the root of every bus there may be takes a third as long as the rest of an early boot.
void ReportFoundDevices();

}  // namespace handover
