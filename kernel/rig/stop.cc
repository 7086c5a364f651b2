// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/stop.h"

#include "kernel/arch/console.h"
#include "kernel/arch/cpu.h"
#include "kernel/rig/event.h"

namespace rig {
namespace {

constexpr int kPausesPerLook = 100;

}  // namespace

uint64_t WaitForHost() {
  const uint64_t started = arch::Counter();
  char byte = 0;
  // Polling takes QEMU's big lock, which it needs to deliver the byte: poll rarely.
  while (!arch::ConsoleTryGet(&byte) || byte != 'g') {
    for (int i = 0; i < kPausesPerLook; ++i) arch::Pause();
  }
  return arch::Counter() - started;
}

Phase::Phase(const char* name) : name_(name), started_(arch::Counter()) {}

void Phase::Suspend() { sum_ += arch::Counter() - started_; }

void Phase::Resume() { started_ = arch::Counter(); }

void Phase::End(uint64_t blocks, uint64_t pages) {
  Suspend();
  ReportPhase(name_, sum_, blocks, pages);
}

void ReportPhase(const char* name, uint64_t nanoseconds, uint64_t blocks, uint64_t pages) {
  Event event("phase");
  event.Text("name", name).Number("ns", nanoseconds);
  if (blocks != 0) event.Number("blocks", blocks).Number("pages", pages);
}

}  // namespace rig
