// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/live_cpu.h"

#include "kernel/arch/cpu.h"

namespace arch {

/// A CPU is a thread, which does not survive execve(2).
size_t LiveCpuTables() { return 0; }
void PrepareLiveCpu(khocore::abi::LiveCpu*) {}
void EnterLiveCpu(const khocore::abi::LiveCpu&) { Halt(); }
uint64_t LiveCpuLeaves() { return 1; }

}  // namespace arch
