// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/exceptions.h"

#include <execinfo.h>
#include <signal.h>

#include <initializer_list>

#include "kernel/base/panic.h"

namespace arch {
namespace {

void OnSignal(int number) { core::Panic("signal %d", number); }

}  // namespace

/// Under a sanitizer its own report is the better one, and it has taken the signals already.
void InstallExceptionHandlers() {
  struct sigaction action = {};
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGTRAP}) {
    if (sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = OnSignal;
    sigaction(number, &action, nullptr);
  }
}

void WalkStack(uint64_t, unsigned limit, void (*visit)(uint64_t pc)) {
  void* frames[32];
  const int count = backtrace(frames, limit < 32 ? static_cast<int>(limit) : 32);
  for (int i = 0; i < count; ++i) visit(reinterpret_cast<uint64_t>(frames[i]));
}

}  // namespace arch
