// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/console/escape.h"

#include "kernel/base/format.h"

namespace console {

Escaped::Escaped(const char* text) {
  size_t length = 0;
  for (; *text != '\0'; ++text) {
    const size_t size = IsPlain(*text) ? 1 : 4;
    if (length + size > kMaxText) break;
    base::FormatTo(text_ + length, sizeof(text_) - length, size == 1 ? "%c" : "\\x%02x",
                   static_cast<unsigned char>(*text));
    length += size;
  }
  text_[length] = '\0';
}

}  // namespace console
