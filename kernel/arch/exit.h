// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace arch {

/// How a run ends, as QEMU's own exit status. All odd and above 32, so that neither QEMU's own
/// errors (1) nor a plain power-off (0) nor a signal looks like one of them.
enum class ExitStatus : uint8_t {
  kPass = 33,
  kFail = 35,      ///< the guest found something wrong and has reported it
  kPanic = 37,     ///< an exception or a bug of the kernel
  kNoMemory = 39,  ///< too little RAM for what the command line asks
  kUsage = 41,     ///< the command line or the archive cannot be used
};
/// Ends the machine (isa-debug-exit, semihosting); where there is no such device, halts.
[[noreturn]] void Exit(ExitStatus status);

}  // namespace arch
