// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/boot_info.h"
#include "khocore/types.h"

namespace arch {

// The other CPUs. They share page tables and handlers with the one that booted, which alone calls
// these functions unless it says otherwise. The only interrupt that any of them takes is the one of
// a panic.

/// More CPUs than this are left alone.
inline constexpr size_t kMaxCpus = 64;
/// What each CPU but the first needs for stacks and tables, aligned to its size.
inline constexpr uint64_t kCpuMemory = uint64_t{64 << 10} << (khocore::kPageShift - 12) / 2;

/// The number of the CPU that calls; 0 for the one that booted.
size_t CpuNumber();
/// Looks for the machine's CPUs (MADT, device tree) and returns how many there are, this one and
/// those beyond `kMaxCpus` included. Firmware's tables are untrusted; `note` gets what cannot be
/// used, with the address or number that is wrong. Called once.
using Note = void (*)(const char* text, uint64_t value);
size_t FindCpus(const base::BootInfo& info, Note note);
/// What the hardware calls a CPU: APIC ID, MPIDR.
uint64_t HardwareId(size_t number);
/// Makes the CPU with this hardware id the last of those that can be started, after `FindCpus`.
/// False when there is no such CPU besides the one that calls, or none could be parked.
bool SetCpuAside(uint64_t hardware_id);

enum class StartResult : uint8_t {
  kStarted,
  kImpossible,  ///< there is no way to start it
  kNoAnswer,    ///< did not come online in time
  kRunning,     ///< already on: the previous kernel did not park it
};
/// Starts the CPU `number`, which calls `entry(number)` on a stack of its own. `memory` are
/// `kCpuMemory` bytes of mapped RAM that belong to it from then on, even if it does not come
/// online. `note` gets why it is impossible.
StartResult StartCpu(const base::BootInfo& info, size_t number, khocore::PhysRange memory,
                     void (*entry)(size_t number), Note note);

/// Called by a CPU as its last act in this kernel.
[[noreturn]] void LeaveCpu();
/// Called by the first CPU for each for which `StartCpu` returned `kStarted` or `kNoAnswer`, and
/// which is about to call `LeaveCpu`, and for one that was set aside and has left its loop: waits
/// until it is off, in the state from which a kernel can start it. Returns false if it is still
/// running.
bool RemoveCpu(size_t number);
/// Writes an endless loop to the page of RAM at `page`, for a CPU that a defect leaves there.
void MakeLoop(khocore::PhysAddr page);
/// Enters what `MakeLoop` wrote, on any CPU.
[[noreturn]] void EnterLoop(khocore::PhysAddr page);
/// Interrupts the other CPUs (NMI, SGI) so that they reach `ExceptionHandlers::stop`; one that runs
/// on for itself is not reached. Where the machine's interrupt controller cannot be used, they poll
/// for a panic. Any CPU may call it.
void InterruptOtherCpus();

}  // namespace arch
