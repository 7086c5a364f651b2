// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/// For death tests of what runs below the kernel's own panic.
void base::Panic(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  abort();
}
