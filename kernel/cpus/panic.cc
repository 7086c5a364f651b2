// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/cpus/panic.h"

#include <stdarg.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/cpus.h"
#include "kernel/arch/exceptions.h"
#include "kernel/arch/exit.h"
#include "kernel/base/format.h"
#include "kernel/base/panic.h"
#include "kernel/console/console_lock.h"
#include "kernel/console/print.h"
#include "kernel/cpus/cpus.h"
#include "kernel/cpus/symbols.h"
#include "kernel/rig/event.h"

// The panic of kernel/base/panic.h.

namespace base {
namespace {

using console::ConsoleLock;
using console::PrintConsole;
using cpus::FindSymbol;
using cpus::StopHere;
using cpus::StopOtherCpus;
using rig::Event;

constexpr unsigned kMaxFrames = 24;
size_t panicking = 0;  ///< the number of the CPU that panics and 1; 0 while none does

void PrintFrame(uint64_t pc) {
  uint64_t offset = 0;
  const char* name = FindSymbol(pc, &offset);
  PrintConsole("  %016lx %s+0x%lx\n", pc, name != nullptr ? name : "?", offset);
}

/// A call that does not return may be the last of its function: the address behind it is another's.
void PrintCaller(uint64_t return_address) {
  uint64_t offset = 0;
  const char* name = FindSymbol(return_address - 1, &offset);
  PrintConsole("  %016lx %s+0x%lx\n", return_address, name != nullptr ? name : "?", offset + 1);
}

void EnterPanic(uint64_t pc, uint64_t frame_pointer) {
  const size_t self = arch::CpuNumber() + 1;
  size_t none = 0;
  if (__atomic_compare_exchange_n(&panicking, &none, self, false, __ATOMIC_ACQ_REL,
                                  __ATOMIC_ACQUIRE)) {
    return;
  }
  if (none == self) arch::Halt();
  StopHere(pc, frame_pointer);
}

void PrintCpu(size_t number, uint64_t pc, uint64_t frame_pointer) {
  if (pc == 0) {
    PrintConsole("CPU %zu does not answer\n", number);
    return;
  }
  PrintConsole("CPU %zu:\n", number);
  PrintFrame(pc);
  arch::WalkStack(frame_pointer, kMaxFrames, PrintCaller);
}

[[noreturn]] void PrintOthersAndExit() {
  StopOtherCpus(PrintCpu);
  arch::Exit(arch::ExitStatus::kPanic);
}

}  // namespace

bool IsPanicking() { return __atomic_load_n(&panicking, __ATOMIC_ACQUIRE) != 0; }

void StopIfPanicking() {
  const size_t who = __atomic_load_n(&panicking, __ATOMIC_RELAXED);
  if (who == 0 || who == arch::CpuNumber() + 1) return;
  // The caller's frame begins with its own caller's.
  const auto* frame = static_cast<const uint64_t*>(__builtin_frame_address(0));
  StopHere(reinterpret_cast<uint64_t>(__builtin_return_address(0)), *frame);
}

void Panic(const char* format, ...) {
  const auto frame = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  EnterPanic(reinterpret_cast<uint64_t>(__builtin_return_address(0)), frame);
  const ConsoleLock lock;
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  FormatList(text, sizeof(text), format, arguments);
  va_end(arguments);
  Event("panic").Text("text", text);
  PrintConsole("backtrace:\n");
  arch::WalkStack(frame, kMaxFrames, PrintCaller);
  PrintOthersAndExit();
}

namespace {

void PanicFromException(const arch::Exception& exception) {
  EnterPanic(exception.pc, exception.frame_pointer);
  const ConsoleLock lock;
  uint64_t offset = 0;
  const char* name = FindSymbol(exception.pc, &offset);
  char address[48] = "";
  if (exception.has_address) {
    FormatTo(address, sizeof(address), " at address 0x%lx", exception.address);
  }
  char cause[64] = "";
  if (exception.cause[0] != '\0') {
    const bool has_access = exception.access[0] != '\0';
    FormatTo(cause, sizeof(cause), " (%s%s%s)", exception.cause, has_access ? ", " : "",
             exception.access);
  }
  char text[192];
  FormatTo(text, sizeof(text), "%s%s%s%s at %s+0x%lx", exception.what, cause, address,
           exception.origin, name != nullptr ? name : "?", offset);
  Event("panic").Text("text", text).Hex("pc", exception.pc);
  if (exception.print_registers != nullptr) {
    exception.print_registers(PrintConsole, exception.registers);
  }
  PrintConsole("backtrace:\n");
  PrintFrame(exception.pc);
  arch::WalkStack(exception.frame_pointer, kMaxFrames, PrintCaller);
  PrintOthersAndExit();
}

}  // namespace

}  // namespace base

namespace cpus {

const arch::ExceptionHandlers kExceptionHandlers = {
    .panic = base::PanicFromException, .is_panicking = base::IsPanicking, .stop = StopHere};

}  // namespace cpus
