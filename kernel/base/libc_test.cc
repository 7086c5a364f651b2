// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>

#include <string>

#include "kernel/base/panic.h"

// The kernel's functions under other names, beside those of the host.
#define memcpy kernel_memcpy
#define memmove kernel_memmove
#define memset kernel_memset
#define memcmp kernel_memcmp
#define memchr kernel_memchr
#define strlen kernel_strlen
#define strnlen kernel_strnlen
#define strcmp kernel_strcmp
#define strncmp kernel_strncmp
#define strchr kernel_strchr
#define strrchr kernel_strrchr
#define strtoul kernel_strtoul
#define __stack_chk_fail kernel_stack_chk_fail
#define __cxa_pure_virtual kernel_cxa_pure_virtual
#include "kernel/base/libc.cc"
#undef memcmp

namespace base {
namespace {

constexpr size_t kAlignments = 9;
constexpr size_t kLongest = 1100;  ///< some turns of the largest loop

struct Buffer {
  Buffer() {
    for (size_t i = 0; i < sizeof(bytes); ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
  }
  alignas(64) char bytes[2 * kLongest];
  std::string text() const { return std::string(bytes, sizeof(bytes)); }
};

template <typename Check>
void ForEachShape(Check check) {
  for (size_t to = 0; to < kAlignments; ++to) {
    for (size_t from = 0; from < kAlignments; ++from) {
      for (size_t size = 0; size < kLongest; size += size < 40 ? 1 : 13) check(to, from, size);
    }
  }
}

TEST(Libc, CopiesExactlyWhatItIsToldTo) {
  ForEachShape([](size_t to, size_t from, size_t size) {
    const Buffer source;
    Buffer copy;
    const std::string want = copy.text().replace(16 + to, size, source.bytes + from, size);
    EXPECT_EQ(kernel_memcpy(copy.bytes + 16 + to, source.bytes + from, size), copy.bytes + 16 + to);
    ASSERT_EQ(copy.text(), want) << to << ' ' << from << ' ' << size;
  });
}

TEST(Libc, MovesWhatOverlaps) {
  ForEachShape([](size_t to, size_t from, size_t size) {
    for (const size_t apart : {0u, 8u, 64u}) {
      Buffer buffer;
      const std::string before = buffer.text();
      const std::string want = buffer.text().replace(to + apart, size, before, from, size);
      kernel_memmove(buffer.bytes + to + apart, buffer.bytes + from, size);
      ASSERT_EQ(buffer.text(), want) << to << ' ' << from << ' ' << size << ' ' << apart;
      buffer = Buffer();
      const std::string down = buffer.text().replace(to, size, before, from + apart, size);
      kernel_memmove(buffer.bytes + to, buffer.bytes + from + apart, size);
      ASSERT_EQ(buffer.text(), down) << to << ' ' << from << ' ' << size << ' ' << apart;
    }
  });
}

TEST(Libc, SetsExactlyWhatItIsToldTo) {
  ForEachShape([](size_t to, size_t value, size_t size) {
    Buffer buffer;
    const char byte = static_cast<char>(value * 31);
    const std::string want = buffer.text().replace(to, size, size, byte);
    EXPECT_EQ(kernel_memset(buffer.bytes + to, byte, size), buffer.bytes + to);
    ASSERT_EQ(buffer.text(), want) << to << ' ' << value << ' ' << size;
  });
}

TEST(Libc, ComparesEveryByte) {
  ForEachShape([](size_t a, size_t b, size_t size) {
    Buffer left;
    Buffer right;
    kernel_memcpy(right.bytes + b, left.bytes + a, size);
    ASSERT_EQ(kernel_memcmp(left.bytes + a, right.bytes + b, size), 0);
    for (size_t at = 0; at < size; ++at) {
      const char kept = right.bytes[b + at];
      right.bytes[b + at] = static_cast<char>(kept ^ 0x80);
      const int want = ::memcmp(left.bytes + a, right.bytes + b, size);
      const int got = kernel_memcmp(left.bytes + a, right.bytes + b, size);
      ASSERT_EQ(got < 0, want < 0) << a << ' ' << b << ' ' << size << ' ' << at;
      ASSERT_NE(got, 0);
      right.bytes[b + at] = kept;
    }
  });
}

TEST(Libc, FindsBytes) {
  const char text[] = "one\0two\xff";
  EXPECT_EQ(kernel_memchr(text, 'o', sizeof(text)), text);
  EXPECT_EQ(kernel_memchr(text, 't', sizeof(text)), text + 4);
  EXPECT_EQ(kernel_memchr(text, 't', 4), nullptr);
  EXPECT_EQ(kernel_memchr(text, 0xff, sizeof(text)), text + 7);
  EXPECT_EQ(kernel_memchr(text, 0x100 | 'n', sizeof(text)), text + 1) << "its low byte counts";
  EXPECT_EQ(kernel_memchr(text, 'o', 0), nullptr);
}

TEST(Libc, MeasuresStrings) {
  EXPECT_EQ(kernel_strlen(""), 0u);
  EXPECT_EQ(kernel_strlen("seven b"), 7u);
  EXPECT_EQ(kernel_strnlen("abc", 0), 0u);
  EXPECT_EQ(kernel_strnlen("abc", 2), 2u);
  EXPECT_EQ(kernel_strnlen("abc", 3), 3u);
  EXPECT_EQ(kernel_strnlen("abc", 10), 3u);
}

TEST(Libc, ComparesStrings) {
  EXPECT_EQ(kernel_strcmp("", ""), 0);
  EXPECT_EQ(kernel_strcmp("same", "same"), 0);
  EXPECT_LT(kernel_strcmp("a", "ab"), 0);
  EXPECT_GT(kernel_strcmp("ab", "a"), 0);
  EXPECT_LT(kernel_strcmp("a", "\xff"), 0) << "bytes have no sign";
  EXPECT_EQ(kernel_strncmp("abc", "abd", 2), 0);
  EXPECT_LT(kernel_strncmp("abc", "abd", 3), 0);
  EXPECT_EQ(kernel_strncmp("ab", "ab", 10), 0);
  EXPECT_GT(kernel_strncmp("\xff", "a", 1), 0);
  EXPECT_EQ(kernel_strncmp("a", "b", 0), 0);
  EXPECT_EQ(kernel_strncmp("ab\0x", "ab\0y", 4), 0) << "what is behind the end does not count";
}

TEST(Libc, FindsCharacters) {
  const char text[] = "/a/b";
  EXPECT_EQ(kernel_strchr(text, '/'), text);
  EXPECT_EQ(kernel_strrchr(text, '/'), text + 2);
  EXPECT_EQ(kernel_strchr(text, 'b'), text + 3);
  EXPECT_EQ(kernel_strchr(text, '\0'), text + 4);
  EXPECT_EQ(kernel_strrchr(text, '\0'), text + 4);
  EXPECT_EQ(kernel_strchr(text, 'x'), nullptr);
  EXPECT_EQ(kernel_strrchr(text, 'x'), nullptr);
}

}  // namespace

void Panic(const char* format, ...) {
  ADD_FAILURE() << format;
  abort();
}

}  // namespace base
