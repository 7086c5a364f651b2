// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/console/print.h"

#include <stdarg.h>

#include "kernel/arch/console.h"
#include "kernel/base/format.h"
#include "kernel/console/console_lock.h"
#include "kernel/console/log.h"

namespace console {
namespace {

void PutConsole(void*, char byte) { arch::ConsolePut(byte); }

void PutConsoleAndLog(void*, char byte) {
  arch::ConsolePut(byte);
  AppendToLog(byte);
}

}  // namespace

void Print(const char* format, ...) {
  const ConsoleLock lock;
  va_list arguments;
  va_start(arguments, format);
  base::Format(PutConsoleAndLog, nullptr, format, arguments);
  va_end(arguments);
}

void PrintConsole(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  base::Format(PutConsole, nullptr, format, arguments);
  va_end(arguments);
}

}  // namespace console
