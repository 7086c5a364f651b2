// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by assembly, too.

#define LIVE_CPU_ENTRY 0x800  // behind the vectors
#define LIVE_CPU_OFF 0x84000002
// How the mailbox wants PSCI to be called.
#define LIVE_CPU_LEAVES_BY_HVC 1
#define LIVE_CPU_LEAVES_BY_SMC 2
