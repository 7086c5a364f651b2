// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace arch {

/// Switches off what could write to memory or interrupt the next kernel: interrupts, timers,
/// interrupt controllers, bus mastering. Calls `said(what, count)` for each kind, as text for the
/// log. Printing still works afterwards.
void Quiesce(void (*said)(const char* what, unsigned count));

}  // namespace arch
