// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace arch {

/// Prints as printf does.
using PrintFunction [[gnu::format(printf, 1, 2)]] = void (*)(const char* format, ...);

/// An exception that the kernel did not expect, on the CPU that took it.
struct Exception {
  const char* what;         ///< the name of its vector or class
  const char* cause = "";   ///< more of it, or empty
  const char* access = "";  ///< read, write or fetch, or empty
  bool has_address = false;
  uint64_t address = 0;     ///< that was accessed
  const char* origin = "";  ///< where it came from, with what stands between, if not the kernel
  uint64_t pc = 0;
  uint64_t frame_pointer = 0;
  void (*print_registers)(PrintFunction print, const void* registers) = nullptr;
  const void* registers = nullptr;
};

/// The kernel's part in an exception, called by the architecture.
struct ExceptionHandlers {
  /// Does not return.
  void (*panic)(const Exception& exception);
  /// Whether the interrupt of `InterruptOtherCpus` is meant: a CPU has panicked.
  bool (*is_panicking)();
  /// Stops this CPU, which that interrupt found at `pc`. Does not return.
  void (*stop)(uint64_t pc, uint64_t frame_pointer);
};

/// Routes every exception to `handlers`. May be called again; every CPU has the handlers of the
/// last call.
void InstallExceptionHandlers(const ExceptionHandlers& handlers);
/// Calls `visit(return address)` for each frame from the caller on, at most `limit`, stopping at
/// the first frame pointer outside the CPU's stack.
void WalkStack(uint64_t frame_pointer, unsigned limit, void (*visit)(uint64_t pc));

}  // namespace arch
