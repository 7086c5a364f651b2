// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/exceptions.h"

#include <execinfo.h>
#include <signal.h>
#include <string.h>

#include <initializer_list>

namespace arch {
namespace {

ExceptionHandlers exception_handlers;

void OnSignal(int number) {
  const auto frame = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  exception_handlers.panic({.what = strsignal(number), .frame_pointer = frame});
}

}  // namespace

/// Under a sanitizer its own report is the better one, and it has taken the signals already.
void InstallExceptionHandlers(const ExceptionHandlers& handlers) {
  exception_handlers = handlers;
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
