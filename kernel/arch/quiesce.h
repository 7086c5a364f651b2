// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace arch {

/// Switches off what could write to memory or interrupt the next kernel: interrupts, timers,
/// interrupt controllers, bus mastering. Calls `report(what, count)` for each kind. Printing still
/// works afterwards.
void Quiesce(void (*report)(const char* what, unsigned count));

}  // namespace arch
