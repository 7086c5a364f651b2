// SPDX-License-Identifier: BSD-3-Clause
//
// Compiled with -fsanitize=undefined and linked with the kernel's runtime in place of
// compiler-rt's.

#include <gtest/gtest.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <regex>
#include <string>

#include "kernel/base/panic.h"

namespace base {

struct Panicked {
  std::string text;
};

void Panic(const char* format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  throw Panicked{text};
}

namespace {

/// What the compiler must not know.
template <typename T>
T Hidden(T value) {
  volatile T hidden = value;
  return hidden;
}

/// The panic that `defect` ends in, without "undefined behavior: "; its line has to be `line`.
template <typename F>
std::string PanicOf(unsigned line, F defect) {
  try {
    defect();
  } catch (const Panicked& panic) {
    std::smatch match;
    const std::regex pattern(
        R"(undefined behavior: (.*) \((\./)?kernel/base/ubsan_test\.cc:(\d+)\))");
    if (!std::regex_match(panic.text, match, pattern)) return "unexpected: " + panic.text;
    EXPECT_EQ(match[3].str(), std::to_string(line));
    return match[1];
  }
  return "no panic";
}

#define PANIC_OF(...) PanicOf(__LINE__, [&] { __VA_ARGS__; })

TEST(Ubsan, OverflowsAreNamedWithTheirNumbers) {
  int i = Hidden(INT_MAX);
  EXPECT_EQ(PANIC_OF(i = i + Hidden(1)), "signed overflow: 2147483647 + 1 in 'int'");
  int8_t one = Hidden<int8_t>(-1);
  EXPECT_EQ(PANIC_OF(i = one - Hidden(INT_MIN) - 1 - Hidden(-2)),
            "signed overflow: 2147483646 - -2 in 'int'");
  long l = Hidden(LONG_MAX);
  EXPECT_EQ(PANIC_OF(l = l * Hidden(2l)), "signed overflow: 9223372036854775807 * 2 in 'long'");
  EXPECT_EQ(PANIC_OF(l = -Hidden(LONG_MIN)), "signed overflow: 0 - -9223372036854775808 in 'long'");
  EXPECT_EQ(PANIC_OF(l = Hidden(LONG_MIN) / Hidden(-1l)),
            "signed overflow: -9223372036854775808 / -1 in 'long'");
  EXPECT_EQ(PANIC_OF(i = 1 / Hidden(0)), "division by zero");
}

TEST(Ubsan, ShiftsAreNamedWithTheirNumbers) {
  int i = 1;
  EXPECT_EQ(PANIC_OF(i = i << Hidden(32)), "shift: 1 by 32 in 'int'");
  EXPECT_EQ(PANIC_OF(i = i << Hidden<int8_t>(-1)), "shift: 1 by -1 in 'int'");
}

TEST(Ubsan, IndexesAreNamedWithTheirArray) {
  int array[4] = {};
  EXPECT_EQ(PANIC_OF(array[Hidden(4)] = 1), "index out of bounds: 4 in 'int[4]'");
  EXPECT_EQ(PANIC_OF(array[Hidden(-1)] = 1), "index out of bounds: -1 in 'int[4]'");
}

TEST(Ubsan, AccessesAreNamedWithTheirAddress) {
  alignas(8) static uint64_t words[2];
  auto at = [](uintptr_t address) { return reinterpret_cast<uint64_t*>(Hidden(address)); };
  uint64_t value = 0;
  EXPECT_EQ(PANIC_OF(value = *at(0)),
            "null pointer: load of 'uint64_t' (aka 'unsigned long') at 0x0");
  char want[96];
  const uintptr_t odd = reinterpret_cast<uintptr_t>(words) + 4;
  snprintf(want, sizeof(want),
           "misaligned address: store to 'uint64_t' (aka 'unsigned long') at 0x%lx", odd);
  EXPECT_EQ(PANIC_OF(*at(odd) = value), want);
  EXPECT_EQ(PANIC_OF(value = at(0xfffffffffffffff8)[Hidden(1)]),
            "pointer overflow: from 0xfffffffffffffff8 to 0x0");
  EXPECT_EQ(PANIC_OF(memcpy(words, Hidden<const void*>(nullptr), Hidden(1))),
            "null pointer passed to a parameter that must not be null");
}

TEST(Ubsan, ValuesAreNamedWithTheirType) {
  uint8_t two = 2;
  bool* const flag = reinterpret_cast<bool*>(&two);
  bool value = false;
  EXPECT_EQ(PANIC_OF(value = *flag), "invalid value: 2 in 'bool'");
  EXPECT_FALSE(value);
  unsigned zeros = 0;
  EXPECT_EQ(PANIC_OF(zeros = static_cast<unsigned>(__builtin_ctz(Hidden(0u)))),
            "zero passed to a builtin that counts zeros");
}

TEST(Ubsan, UnreachableCodeIsNamed) {
  EXPECT_EQ(PANIC_OF(if (Hidden(true)) __builtin_unreachable()), "unreachable code");
}

TEST(Ubsan, DefinedBehaviorPasses) {
  int array[4] = {};
  EXPECT_EQ(PANIC_OF(array[Hidden(3)] = INT_MAX - Hidden(1) + 1), "no panic");
  EXPECT_EQ(array[3], INT_MAX);
}

}  // namespace
}  // namespace base
