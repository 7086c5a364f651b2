// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/exceptions.h"

namespace cpus {

/// For `arch::InstallExceptionHandlers`: an exception is a panic, with registers between event and
/// backtrace, and a panic stops the other CPUs.
extern const arch::ExceptionHandlers kExceptionHandlers;

}  // namespace cpus
