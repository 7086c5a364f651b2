// SPDX-License-Identifier: BSD-3-Clause
//
// What libfdt and the compiler expect of a C library. Plain loops: an instruction that writes a
// whole cache line behind the CPU's store path (dc zva) would be invisible to a write watch.

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/panic.h"

#define KHORIG_LIBC extern "C" __attribute__((used, no_builtin))

namespace {

using Word = uint64_t __attribute__((may_alias));

bool IsAligned(const void* at) { return reinterpret_cast<uintptr_t>(at) % sizeof(Word) == 0; }
/// Whether both are aligned after the same number of bytes.
bool AlignTogether(const void* a, const void* b) {
  return (reinterpret_cast<uintptr_t>(a) ^ reinterpret_cast<uintptr_t>(b)) % sizeof(Word) == 0;
}

}  // namespace

KHORIG_LIBC void* memcpy(void* destination, const void* source, size_t size) {
  auto* to = static_cast<uint8_t*>(destination);
  const auto* from = static_cast<const uint8_t*>(source);
  if (AlignTogether(to, from)) {
    for (; size != 0 && !IsAligned(to); --size) *to++ = *from++;
    auto* to_words = reinterpret_cast<Word*>(to);
    const auto* from_words = reinterpret_cast<const Word*>(from);
    const size_t words = size / sizeof(Word);
#pragma clang loop unroll_count(8)
    for (size_t i = 0; i < words; ++i) to_words[i] = from_words[i];
    to += words * sizeof(Word);
    from += words * sizeof(Word);
    size %= sizeof(Word);
  }
  for (; size != 0; --size) *to++ = *from++;
  return destination;
}

KHORIG_LIBC void* memmove(void* destination, const void* source, size_t size) {
  auto* to = static_cast<uint8_t*>(destination);
  const auto* from = static_cast<const uint8_t*>(source);
  if (to <= from || to >= from + size) return memcpy(destination, source, size);
  for (; size != 0; --size) to[size - 1] = from[size - 1];
  return destination;
}

KHORIG_LIBC void* memset(void* destination, int value, size_t size) {
  auto* to = static_cast<uint8_t*>(destination);
  const auto byte = static_cast<uint8_t>(value);
  for (; size != 0 && !IsAligned(to); --size) *to++ = byte;
  auto* to_words = reinterpret_cast<Word*>(to);
  const uint64_t word = byte * 0x0101010101010101u;
  const size_t words = size / sizeof(Word);
#pragma clang loop unroll_count(16)
  for (size_t i = 0; i < words; ++i) to_words[i] = word;
  to += words * sizeof(Word);
  for (size %= sizeof(Word); size != 0; --size) *to++ = byte;
  return destination;
}

KHORIG_LIBC int memcmp(const void* left, const void* right, size_t size) {
  const auto* a = static_cast<const uint8_t*>(left);
  const auto* b = static_cast<const uint8_t*>(right);
  for (; size != 0; --size, ++a, ++b) {
    if (IsAligned(a) && IsAligned(b)) {
      while (size >= sizeof(Word) &&
             *reinterpret_cast<const Word*>(a) == *reinterpret_cast<const Word*>(b)) {
        a += sizeof(Word);
        b += sizeof(Word);
        size -= sizeof(Word);
      }
      if (size == 0) break;
    }
    if (*a != *b) return *a < *b ? -1 : 1;
  }
  return 0;
}

KHORIG_LIBC void* memchr(const void* bytes, int value, size_t size) {
  const auto* at = static_cast<const uint8_t*>(bytes);
  for (; size != 0; --size, ++at) {
    if (*at == static_cast<uint8_t>(value)) return const_cast<uint8_t*>(at);
  }
  return nullptr;
}

KHORIG_LIBC size_t strlen(const char* text) {
  size_t length = 0;
  while (text[length] != '\0') ++length;
  return length;
}

KHORIG_LIBC size_t strnlen(const char* text, size_t limit) {
  size_t length = 0;
  while (length < limit && text[length] != '\0') ++length;
  return length;
}

KHORIG_LIBC int strcmp(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
}

KHORIG_LIBC int strncmp(const char* a, const char* b, size_t limit) {
  for (; limit != 0; --limit, ++a, ++b) {
    if (*a != *b || *a == '\0') {
      return static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
    }
  }
  return 0;
}

KHORIG_LIBC char* strchr(const char* text, int wanted) {
  for (;; ++text) {
    if (*text == static_cast<char>(wanted)) return const_cast<char*>(text);
    if (*text == '\0') return nullptr;
  }
}

KHORIG_LIBC char* strrchr(const char* text, int wanted) {
  const char* last = nullptr;
  for (;; ++text) {
    if (*text == static_cast<char>(wanted)) last = text;
    if (*text == '\0') return const_cast<char*>(last);
  }
}

// libfdt uses it for overlays alone, which the kernel never does.
KHORIG_LIBC unsigned long strtoul(const char*, char**, int) {  // NOLINT(google-runtime-int)
  core::Panic("strtoul was called");
}

KHORIG_LIBC void __stack_chk_fail() { core::Panic("stack smashed inside libfdt"); }

KHORIG_LIBC void __cxa_pure_virtual() { core::Panic("pure virtual function called"); }
