// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace base {

/// Prints what happened (the `panic` event first) and a symbolized backtrace to the console, and
/// ends the machine with `ExitStatus::kPanic`. The other CPUs are stopped and printed after it. A
/// panic within a panic only halts, and so does one on another CPU.
[[noreturn]] void Panic(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// Whether a CPU has panicked.
bool IsPanicking();
/// Stops this CPU if another one has panicked. Loops that wait for other CPUs call it, as not every
/// machine can interrupt them.
void StopIfPanicking();

}  // namespace base

/// A bug of the kernel itself, never for foreign bytes.
#define KHORIG_CHECK(condition)                                                  \
  do {                                                                           \
    if (!(condition)) {                                                          \
      ::base::Panic("check failed: %s (%s:%d)", #condition, __FILE__, __LINE__); \
    }                                                                            \
  } while (0)
