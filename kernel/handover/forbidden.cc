// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/forbidden.h"

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/image_constants.h"
#include "kernel/base/direct_map.h"
#include "kernel/cpus/cpus.h"
#include "kernel/rig/fault.h"
#include "kernel/rig/require.h"

namespace handover {
namespace {

using rig::Fault;
using rig::Fire;
using rig::IsArmed;

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

}  // namespace

void DoForbidden(Generation& generation) {
  if (Fire(Fault::kWriteText)) WriteByte(reinterpret_cast<const void*>(&DoForbidden));
  if (Fire(Fault::kWriteConstants)) WriteByte(&constant);
  if (Fire(Fault::kExecuteData)) Execute(data);
  if (IsArmed(Fault::kExecuteRam)) {
    const auto page = rig::Require(generation.allocator.AllocatePage(), "fault");
    if (Fire(Fault::kExecuteRam)) Execute(base::Direct<void>(page.address()));
  }
  if (Fire(Fault::kStackOverflow)) OverflowStack();
  if (cpus::CpuCount() == 1 || !IsArmed(Fault::kOtherStackOverflow)) return;
  cpus::RunOnAllCpus([](size_t number) {
    if (number == cpus::CpuCount() - 1 && Fire(Fault::kOtherStackOverflow)) OverflowStack();
  });
}

}  // namespace handover
