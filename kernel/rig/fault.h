// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace rig {

/// A deliberate defect, armed with `fault=`. Each is something that a check of the rig must find.
enum class Fault : uint8_t {
  kNone,
  kRootNotPreserved,       ///< the root page is not in the tracker
  kNodeInScratch,          ///< a tracker node page lies in scratch
  kWriteAfterSeal,         ///< one byte of a preserved page is written after `sealed`
  kSegmentOutsideScratch,  ///< the next kernel's parameters are placed on a preserved block
  kTailNotRestored,        ///< the last page of a block stays behind when the block is restored
  kHangBeforeJump,         ///< the kernel loops instead of jumping
  kPanicAfterRestore,      ///< the second generation reads through a wild pointer
  kUndefinedBehavior,      ///< the second generation shifts by the width of a word
  kCpuSpins,               ///< a CPU is not parked and loops in the old kernel's text
  kParkPageUnowned,        ///< a CPU is parked in a page that has no owner
  kPublishedEarly,         ///< a fragment is linked before it is finished
  kLostUpdate,             ///< a CPU sets a bit in the tracker without regard to the others
  kBusMasterLeftOn,        ///< PCI functions keep bus mastering across the jump
  kVirtioLeftOn,           ///< virtio-mmio devices are not reset
  kTimerLeftArmed,         ///< timers run on
  kInterruptLeftUnmasked,  ///< interrupt lines stay open
  kControllerLeftOn,       ///< interrupt controllers stay on, LPIs and ITS included
  kWriteText,              ///< the second generation writes its own text
  kWriteConstants,         ///< the second generation writes its constants
  kExecuteData,            ///< the second generation executes its data
  kExecuteRam,             ///< the second generation executes memory that it has allocated
  kStackOverflow,          ///< the second generation overflows the stack of its first CPU
  kOtherStackOverflow,     ///< the second generation overflows the stack of its last CPU
};

/// Looks up the fault called by the `length` bytes at `name`. False when there is none.
bool FindFault(const char* name, size_t length, Fault* fault);

/// Arms `fault` in a kernel that is generation number `generation`. Each fault belongs to one
/// generation; in every other one it is not armed. Called once, while one CPU runs.
void ArmFault(Fault fault, uint32_t generation);

/// Whether `fault` is armed in this generation. For a defect that prepares something first.
bool IsArmed(Fault fault);

/// As `IsArmed`, called where the defect happens, with nothing left that could prevent it: prints
/// the `fault` event, once in a generation. Any CPU may call it.
bool Fire(Fault fault);

}  // namespace rig
