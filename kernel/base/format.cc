// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/base/format.h"

#include <stdint.h>

namespace base {
namespace {

struct Specification {
  unsigned width = 0;
  char pad = ' ';
  bool left = false;
};

void PutPadded(Sink sink, void* context, const char* text, size_t length,
               const Specification& specification) {
  const size_t fill = length < specification.width ? specification.width - length : 0;
  for (size_t i = 0; i < fill && !specification.left; ++i) sink(context, specification.pad);
  for (size_t i = 0; i < length; ++i) sink(context, text[i]);
  for (size_t i = 0; i < fill && specification.left; ++i) sink(context, ' ');
}

void PutNumber(Sink sink, void* context, uint64_t value, bool negative, unsigned base,
               const Specification& specification) {
  char digits[24];
  size_t at = sizeof(digits);
  do {
    digits[--at] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  if (negative) digits[--at] = '-';
  PutPadded(sink, context, digits + at, sizeof(digits) - at, specification);
}

Specification ParseSpecification(const char** format) {
  Specification specification;
  for (;; ++*format) {
    if (**format == '-') {
      specification.left = true;
    } else if (**format == '0') {
      specification.pad = '0';
    } else {
      break;
    }
  }
  for (; **format >= '0' && **format <= '9'; ++*format) {
    specification.width = specification.width * 10 + static_cast<unsigned>(**format - '0');
  }
  return specification;
}

struct Buffer {
  char* bytes;
  size_t size;
  size_t length;
};

void PutBuffer(void* context, char byte) {
  auto* buffer = static_cast<Buffer*>(context);
  if (buffer->length + 1 < buffer->size) buffer->bytes[buffer->length] = byte;
  ++buffer->length;
}

}  // namespace

void Format(Sink sink, void* context, const char* format, va_list arguments) {
  for (; *format != '\0'; ++format) {
    if (*format != '%') {
      sink(context, *format);
      continue;
    }
    ++format;
    const Specification specification = ParseSpecification(&format);
    unsigned longs = 0;
    for (; *format == 'l' || *format == 'z'; ++format) ++longs;
    switch (*format) {
      case 'c':
        sink(context, static_cast<char>(va_arg(arguments, int)));
        break;
      case 's': {
        const char* text = va_arg(arguments, const char*);
        if (text == nullptr) text = "(null)";
        PutPadded(sink, context, text, __builtin_strlen(text), specification);
        break;
      }
      case 'd': {
        const int64_t value = longs ? va_arg(arguments, int64_t) : va_arg(arguments, int);
        const uint64_t magnitude =
            value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
        PutNumber(sink, context, magnitude, value < 0, 10, specification);
        break;
      }
      case 'u':
      case 'x':
        PutNumber(sink, context, longs ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned),
                  false, *format == 'x' ? 16 : 10, specification);
        break;
      case 'p':
        PutNumber(sink, context, reinterpret_cast<uintptr_t>(va_arg(arguments, void*)), false, 16,
                  specification);
        break;
      case '\0':
        return;
      default:
        sink(context, *format);
    }
  }
}

size_t FormatList(char* buffer, size_t size, const char* format, va_list arguments) {
  Buffer target{buffer, size, 0};
  Format(PutBuffer, &target, format, arguments);
  if (size != 0) buffer[target.length < size ? target.length : size - 1] = '\0';
  return target.length;
}

size_t FormatTo(char* buffer, size_t size, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const size_t length = FormatList(buffer, size, format, arguments);
  va_end(arguments);
  return length;
}

}  // namespace base
