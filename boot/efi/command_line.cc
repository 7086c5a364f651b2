// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/command_line.h"

#include <string.h>

namespace efi {

using khocore::Span;

namespace {

/// Collects a line character by character.
class Line {
 public:
  Line(char* text, size_t room) : text_(text), room_(room) {}

  void Put(unsigned c) {
    if (c == '\t') c = ' ';
    if (c < ' ' || c > '~') {
      ascii_ = false;
    } else if (length_ + 1 < room_) {
      text_[length_++] = static_cast<char>(c);
    } else if (c != ' ') {
      fits_ = false;
    }
  }
  LineResult End() {
    while (length_ != 0 && text_[length_ - 1] == ' ') --length_;
    text_[length_] = '\0';
    return !ascii_        ? LineResult::kNotAscii
           : !fits_       ? LineResult::kTooLong
           : length_ == 0 ? LineResult::kEmpty
                          : LineResult::kGood;
  }

 private:
  char* text_;
  size_t room_;
  size_t length_ = 0;
  bool ascii_ = true;
  bool fits_ = true;
};

/// Takes the application's own name off the front.
void DropOwnName(char* line) {
  size_t end = 0;
  while (line[end] != '\0' && line[end] != ' ') ++end;
  constexpr char kSuffix[] = ".efi";
  constexpr size_t kLength = sizeof(kSuffix) - 1;
  if (end < kLength) return;
  for (size_t i = 0; i < kLength; ++i) {
    const char c = line[end - kLength + i];
    if ((c | 0x20) != kSuffix[i] && c != kSuffix[i]) return;
  }
  while (line[end] == ' ') ++end;
  memmove(line, line + end, strlen(line + end) + 1);
}

}  // namespace

LineResult ReadLoadOptions(const void* options, size_t bytes, char* line, size_t room) {
  Line text(line, room);
  for (size_t at = 0; options != nullptr && bytes - at >= sizeof(CHAR16); at += sizeof(CHAR16)) {
    CHAR16 c;
    memcpy(&c, static_cast<const char*>(options) + at, sizeof(c));
    if (c == 0) break;
    text.Put(c);
  }
  const LineResult result = text.End();
  if (result != LineResult::kGood) return result;
  DropOwnName(line);
  return line[0] == '\0' ? LineResult::kEmpty : LineResult::kGood;
}

LineResult ReadFirstLine(Span<const uint8_t> file, char* line, size_t room) {
  Line text(line, room);
  for (const uint8_t c : file) {
    if (c == '\n') break;
    if (c != '\r') text.Put(c);
  }
  return text.End();
}

}  // namespace efi
