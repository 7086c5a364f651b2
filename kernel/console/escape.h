// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

namespace console {

/// Text of another kernel, to be printed: what is not printable ASCII is \xNN, and so is the
/// backslash. Whatever it says, it is no line of the console protocol and no control sequence.
class Escaped {
 public:
  /// More than this is cut off. Enough for 64 bytes of any kind: a name of the ABI.
  static constexpr size_t kMaxText = size_t{4} * 64;

  explicit Escaped(const char* text);
  const char* text() const { return text_; }

 private:
  char text_[kMaxText + 1];
};

/// Whether `byte` is printed as it is.
constexpr bool IsPlain(char byte) { return byte >= ' ' && byte <= '~' && byte != '\\'; }

}  // namespace console
