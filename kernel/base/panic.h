// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace core {

/// Says what happened on the console (the `panic` event first), prints a symbolized backtrace and
/// ends the machine with `ExitStatus::kPanic`. The other CPUs are stopped and printed after it. A
/// panic within a panic only halts, and so does one on another CPU.
[[noreturn]] void Panic(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// The same for an exception: `frame_pointer` is the interrupted code's, `pc` its address.
/// `print_registers` is called between the event and the backtrace.
[[noreturn]] void PanicFromException(const char* what, uint64_t pc, uint64_t frame_pointer,
                                     void (*print_registers)(const void* registers),
                                     const void* registers);

/// Whether a CPU has panicked.
bool IsPanicking();
/// Stops this CPU because another one has panicked; `pc` and `frame_pointer` tell where it was.
[[noreturn]] void StopForPanic(uint64_t pc, uint64_t frame_pointer);
/// Does so if another CPU has panicked. Loops that wait for other CPUs call it, as not every
/// machine can interrupt them.
void StopIfPanicking();

}  // namespace core

/// A bug of the kernel itself, never for foreign bytes.
#define KHORIG_CHECK(condition)                                                  \
  do {                                                                           \
    if (!(condition)) {                                                          \
      ::core::Panic("check failed: %s (%s:%d)", #condition, __FILE__, __LINE__); \
    }                                                                            \
  } while (0)
