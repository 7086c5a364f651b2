// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/jump.h"
#include "khocore/page_source.h"
#include "khocore/types.h"

/// What faults do to a jump that is prepared. Each returns false where the architecture has nothing
/// of the kind.

namespace arch {

/// What can be wrong with the tables that the copy runs on, where they map an address.
enum class TableDefect {
  kUnmapped,       ///< no entry
  kReadOnly,       ///< the copy may not write
  kSoftwareBits,   ///< the topmost entry has a bit that is the kernel's own
  kNotExecutable,  ///< code may not run
  kElsewhere,      ///< to another address
};
bool SpoilTables(const JumpPlan& plan, khocore::PhysAddr address, TableDefect defect);

/// What can be wrong when the next kernel starts.
enum class EntryDefect {
  kDirection,       ///< string instructions go down
  kInterrupts,      ///< interrupts are on
  kArguments,       ///< a register that must be zero, or hold the parameters, does not
  kControlBits,     ///< control registers have bits of this kernel's
  kProtections,     ///< the next kernel is protected as this one was
  kSoftwareBits,    ///< the topmost page table has bits of this kernel's, set behind the copy
  kLowerLevel,      ///< EL1 instead of the EL2 that this kernel was entered at
  kHostExtensions,  ///< EL2 with VHE on, which this kernel has off
};
/// Has the next kernel entered through code that makes it so, in a page of `pages`.
bool SpoilEntry(const JumpPlan& plan, EntryDefect defect, khocore::PageSource& pages);

/// Takes firmware to be called by HVC, whatever the device tree says.
bool SpoilFirmwareCall();

}  // namespace arch
