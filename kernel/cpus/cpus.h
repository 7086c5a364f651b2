// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

#include "kernel/base/boot_info.h"
#include "kernel/memory/page_allocator.h"
#include "khocore/function_ref.h"

namespace cpus {

/// The CPUs of this machine at work. The one that booted is number 0 and calls these functions; the
/// others wait for it.

/// Starts all CPUs and prints the `cpus` event, unless there is only one. Their stacks come from
/// `allocator` and are given up with this kernel. One that does not come online is left out and
/// reported; one that the previous kernel left running is a failure.
void StartCpus(const base::BootInfo& info, memory::PageAllocator& allocator);

/// How many CPUs are at work, this one included.
size_t CpuCount();

// One CPU may run on for itself while kernels come and go: it is neither at work nor parked, and
// nobody interrupts it.

/// The hardware id of the CPU that `SendAway` would send away.
uint64_t LastCpu();
/// The last CPU, which is not the first, calls `leave`, which does not return. It is no CPU of this
/// kernel any more; prints the `cpus` event.
void SendAway(void (*leave)());
/// Before `StartCpus`, which leaves this CPU alone: an earlier kernel has sent it away.
void KeepAway(uint64_t hardware_id);
/// Starts the CPU that was kept away, and that has left its loop, as one of this kernel, and prints
/// the `cpus` event. False if it does not stop or start.
[[nodiscard]] bool TakeBack(const base::BootInfo& info, memory::PageAllocator& allocator);

/// Calls `work(number)` on every CPU at the same time and returns when all are done.
void RunOnAllCpus(khocore::FunctionRef<void(size_t number)> work);

/// Parks all other CPUs where the next kernel cannot overwrite the code they execute. `loop` is a
/// defect, null for none: CPU 1 is left behind in it.
void ParkCpus(void (*loop)());

/// Stops the other CPUs for a panic of this one: `print` gets the number of each and where it was,
/// or 0 when it did not answer.
void StopOtherCpus(void (*print)(size_t number, uint64_t pc, uint64_t frame_pointer));

/// Records where this CPU was when another one panicked, and stops it.
[[noreturn]] void StopHere(uint64_t pc, uint64_t frame_pointer);

}  // namespace cpus
