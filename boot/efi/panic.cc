// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/panic.h"

#include <stdarg.h>

#include "kernel/arch/cpus.h"
#include "kernel/arch/exit.h"
#include "kernel/base/format.h"
#include "kernel/rig/event.h"

namespace base {

using rig::Event;

/// In the loader exceptions are the firmware's business, and a bug has no backtrace: there is no
/// table of symbols.
void Panic(const char* format, ...) {
  struct Bounded {
    char text[256];
    size_t length;
  } bounded{};
  const Sink put = [](void* context, char byte) {
    auto* target = static_cast<Bounded*>(context);
    if (target->length + 1 < sizeof(target->text)) target->text[target->length++] = byte;
  };
  va_list arguments;
  va_start(arguments, format);
  Format(put, &bounded, format, arguments);
  va_end(arguments);
  Event("panic").Text("text", bounded.text);
  arch::Exit(arch::ExitStatus::kPanic);
}

bool IsPanicking() { return false; }
void StopIfPanicking() {}

}  // namespace base

namespace arch {

/// Firmware runs the loader on one CPU and keeps the others to itself.
size_t CpuNumber() { return 0; }

}  // namespace arch
