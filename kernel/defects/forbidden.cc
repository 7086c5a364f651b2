// SPDX-License-Identifier: BSD-3-Clause
// What the rights of the kernel's pages forbid. Each must end in an exception; where it does not,
// the kernel goes on.

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/image_constants.h"
#include "kernel/base/direct_map.h"
#include "kernel/cpus/cpus.h"
#include "kernel/handover/points.h"
#include "kernel/rig/require.h"

namespace defects {
namespace {

using handover::Generation;
using rig::FaultAt;
using rig::Fire;
using rig::Point;

// Functions of their own, so that a panic has a name that can be read. The compiler knows not
// where a pointer leads.

[[gnu::noinline]] void WriteByte(const void* at) {
  const void* place = at;
  asm volatile("" : "+r"(place));
  *const_cast<volatile uint8_t*>(static_cast<const volatile uint8_t*>(place)) = 0;
}

[[gnu::noinline]] void Execute(void* code) { reinterpret_cast<void (*)()>(code)(); }

/// Takes twice the stack.
[[gnu::noinline]] void OverflowStack(volatile uint8_t* caller,
                                     size_t left = size_t{2} * STACK_BYTES) {
  volatile uint8_t frame[512];
  frame[0] = *caller;
  if (left > sizeof(frame)) OverflowStack(frame, left - sizeof(frame));
  *caller = frame[0];
}

void OverflowStack() {
  volatile uint8_t first = 0;
  OverflowStack(&first);
}

uint8_t data[16] = {1};
const uint64_t constant = 1;

void WriteText(Generation&) {
  Fire();
  WriteByte(reinterpret_cast<const void*>(&WriteText));
}
KHORIG_FAULT(write_text) = FaultAt<Point::kTakenOver, WriteText>("write-text", 2, "",
                                                                 "generation 2 writes its text");

void WriteConstants(Generation&) {
  Fire();
  WriteByte(&constant);
}
KHORIG_FAULT(write_constants) = FaultAt<Point::kTakenOver, WriteConstants>(
    "write-constants", 2, "", "generation 2 writes its constants");

void ExecuteData(Generation&) {
  Fire();
  Execute(data);
}
KHORIG_FAULT(execute_data) = FaultAt<Point::kTakenOver, ExecuteData>(
    "execute-data", 2, "", "generation 2 executes its data");

void ExecuteRam(Generation& generation) {
  const auto page = rig::Require(generation.allocator.AllocatePage(), "fault");
  Fire();
  Execute(base::Direct<void>(page.address()));
}
KHORIG_FAULT(execute_ram) = FaultAt<Point::kTakenOver, ExecuteRam>(
    "execute-ram", 2, "", "generation 2 executes allocated memory");

void OverflowFirstStack(Generation&) {
  Fire();
  OverflowStack();
}
KHORIG_FAULT(stack_overflow) = FaultAt<Point::kTakenOver, OverflowFirstStack>(
    "stack-overflow", 2, "", "generation 2 overflows the stack of its first CPU");

void OverflowOtherStack(Generation&) {
  if (cpus::CpuCount() == 1) return;
  cpus::RunOnAllCpus([](size_t number) {
    if (number != cpus::CpuCount() - 1) return;
    Fire();
    OverflowStack();
  });
}
KHORIG_FAULT(stack_overflow_ap) = FaultAt<Point::kTakenOver, OverflowOtherStack>(
    "stack-overflow-ap", 2, "", "generation 2 overflows the stack of its last CPU (--smp)");

}  // namespace
}  // namespace defects
