// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdarg.h>
#include <stddef.h>

namespace base {

/// Receives formatted bytes one at a time.
using Sink = void (*)(void* context, char byte);

/// Formats like printf. Understands %c %s %d %u %x %lu %lx %llu %llx %zu %p %% with width, `0` and
/// `-`; anything else is printed as it stands.
void Format(Sink sink, void* context, const char* format, va_list arguments);

/// Formats into `buffer` of `size` bytes, always terminated. Returns the length without truncation.
size_t FormatList(char* buffer, size_t size, const char* format, va_list arguments);
size_t FormatTo(char* buffer, size_t size, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

}  // namespace base
