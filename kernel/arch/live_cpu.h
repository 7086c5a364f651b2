// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "khocore/abi/clients.h"

namespace arch {

// A CPU that executes a loop in pages of its own and knows of no kernel. It counts, stores the
// count to its stack and to its counter, and reads its mailbox, until that is not 0. It takes no
// interrupt: where one could not be masked (NMI), nobody may send it.

/// How many page tables it takes; 0 where there can be no such CPU.
size_t LiveCpuTables();

/// Writes code and page tables of `cpu`, whose pages have their physical addresses and are zeroed,
/// and its virtual addresses. The tables map its pages and nothing else.
void PrepareLiveCpu(khocore::abi::LiveCpu* cpu);

/// Enters the loop, on any CPU but the first, which never returns to this kernel.
[[noreturn]] void EnterLiveCpu(const khocore::abi::LiveCpu& cpu);

/// What the mailbox has to hold for it to leave the loop: to be removed by `RemoveCpu`.
uint64_t LiveCpuLeaves();

}  // namespace arch
