// SPDX-License-Identifier: BSD-3-Clause
//
// What libfdt and the compiler expect of a C library. Plain loops: an instruction that writes a
// whole cache line behind the CPU's store path (dc zva) would be invisible to a write watch.

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/panic.h"

#define KHORIG_LIBC extern "C" __attribute__((used, no_builtin))
#define KHORIG_PART static inline __attribute__((always_inline, no_builtin))

namespace {

// Eight bytes at the alignment that two pointers share, so that each architecture moves them with
// as few instructions as it has for that.
template <size_t Alignment>
struct __attribute__((may_alias, aligned(Alignment))) Word {
  uint8_t bytes[8];
};
using AlignedWord = uint64_t __attribute__((may_alias));
constexpr size_t kWordSize = 8;

bool BothAligned(const void* a, const void* b, size_t alignment) {
  return ((reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b)) & (alignment - 1)) == 0;
}

/// Copies whole words, front to back, and returns the bytes copied. The words of one turn are all
/// read before the first is written: compilers pair them up.
template <typename T>
KHORIG_PART size_t CopyWords(void* destination, const void* source, size_t size) {
  auto* to = static_cast<T*>(destination);
  const auto* from = static_cast<const T*>(source);
  size_t left = size / kWordSize;
  for (; left >= 8; left -= 8, to += 8, from += 8) {
    const T a = from[0], b = from[1], c = from[2], d = from[3];
    const T e = from[4], f = from[5], g = from[6], h = from[7];
    to[0] = a, to[1] = b, to[2] = c, to[3] = d;
    to[4] = e, to[5] = f, to[6] = g, to[7] = h;
  }
  for (; left != 0; --left) *to++ = *from++;
  return size / kWordSize * kWordSize;
}

template <size_t Size>
KHORIG_PART void CopyBytes(uint8_t*& to, const uint8_t*& from) {
  struct __attribute__((may_alias)) Bytes {
    uint8_t bytes[Size];
  };
  *reinterpret_cast<Bytes*>(to) = *reinterpret_cast<const Bytes*>(from);
  to += Size;
  from += Size;
}

/// Copies what is left behind turns of many words, front to back. Most names are that short.
KHORIG_PART void CopyRest(uint8_t* to, const uint8_t* from, size_t size) {
  for (; size >= kWordSize; size -= kWordSize) CopyBytes<kWordSize>(to, from);
  if ((size & 4) != 0) CopyBytes<4>(to, from);
  if ((size & 2) != 0) CopyBytes<2>(to, from);
  if ((size & 1) != 0) *to = *from;
}

/// For words that are no words of the machine: apart, because that takes all registers.
template <typename T>
[[gnu::noinline]] __attribute__((no_builtin)) size_t CopyPackedWords(void* destination,
                                                                     const void* source,
                                                                     size_t size) {
  return CopyWords<T>(destination, source, size);
}

/// Copies what has turns of many words.
[[gnu::noinline]] __attribute__((no_builtin)) void* CopyTurns(void* destination, const void* source,
                                                              size_t size) {
  size_t done = 0;
  if (BothAligned(destination, source, 8)) {
    done = CopyWords<AlignedWord>(destination, source, size);
  } else if (BothAligned(destination, source, 4)) {
    done = CopyPackedWords<Word<4>>(destination, source, size);
  } else {
    done = CopyPackedWords<Word<1>>(destination, source, size);
  }
  CopyRest(static_cast<uint8_t*>(destination) + done, static_cast<const uint8_t*>(source) + done,
           size - done);
  return destination;
}

/// The bytes in front of the first word that differs.
template <typename T>
KHORIG_PART size_t EqualWords(const void* left, const void* right, size_t size) {
  const auto* a = static_cast<const T*>(left);
  const auto* b = static_cast<const T*>(right);
  size_t i = 0;
  while (i < size / sizeof(T) && a[i] == b[i]) ++i;
  return i * sizeof(T);
}

}  // namespace

KHORIG_LIBC void* memcpy(void* destination, const void* source, size_t size) {
  if (size >= 8 * kWordSize) return CopyTurns(destination, source, size);
  auto* to = static_cast<uint8_t*>(destination);
  const auto* from = static_cast<const uint8_t*>(source);
  if (BothAligned(to, from, kWordSize)) {
    for (; size >= kWordSize; size -= kWordSize, to += kWordSize, from += kWordSize) {
      *reinterpret_cast<AlignedWord*>(to) = *reinterpret_cast<const AlignedWord*>(from);
    }
  }
  CopyRest(to, from, size);
  return destination;
}

KHORIG_LIBC void* memmove(void* destination, const void* source, size_t size) {
  auto* to = static_cast<uint8_t*>(destination);
  const auto* from = static_cast<const uint8_t*>(source);
  if (to <= from || to >= from + size) return memcpy(destination, source, size);
  for (; size >= kWordSize; size -= kWordSize) {
    const auto word = *reinterpret_cast<const Word<1>*>(from + size - kWordSize);
    *reinterpret_cast<Word<1>*>(to + size - kWordSize) = word;
  }
  for (; size != 0; --size) to[size - 1] = from[size - 1];
  return destination;
}

KHORIG_LIBC void* memset(void* destination, int value, size_t size) {
  auto* to = static_cast<uint8_t*>(destination);
  const auto byte = static_cast<uint8_t>(value);
  for (; size != 0 && !BothAligned(to, to, kWordSize); --size) *to++ = byte;
  const uint64_t word = byte * 0x0101010101010101u;
  constexpr size_t kTurn = 64 * kWordSize;
  for (; size >= kTurn; size -= kTurn, to += kTurn) {
#pragma clang loop unroll(full)
    for (size_t i = 0; i < kTurn; i += kWordSize) *reinterpret_cast<AlignedWord*>(to + i) = word;
  }
#pragma clang loop unroll_count(4)
  for (; size >= kWordSize; size -= kWordSize, to += kWordSize) {
    *reinterpret_cast<AlignedWord*>(to) = word;
  }
  for (; size != 0; --size) *to++ = byte;
  return destination;
}

KHORIG_LIBC int memcmp(const void* left, const void* right, size_t size) {
  const auto* a = static_cast<const uint8_t*>(left);
  const auto* b = static_cast<const uint8_t*>(right);
  using HalfWord = uint32_t __attribute__((may_alias));
  size_t at = 0;
  if (BothAligned(a, b, 8)) {
    at = EqualWords<AlignedWord>(a, b, size);
  } else if (BothAligned(a, b, 4)) {
    at = EqualWords<HalfWord>(a, b, size);
  }
  for (; at < size; ++at) {
    if (a[at] != b[at]) return a[at] < b[at] ? -1 : 1;
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
  base::Panic("strtoul was called");
}

KHORIG_LIBC void __stack_chk_fail() { base::Panic("stack smashed inside libfdt"); }

KHORIG_LIBC void __cxa_pure_virtual() { base::Panic("pure virtual function called"); }
