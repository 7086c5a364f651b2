// SPDX-License-Identifier: BSD-3-Clause
//
// What the loader reads of strangers: the path that it was started from, load options, the files
// cmdline.txt and checksums.txt. The first byte of an input says which, the second how much room
// there is.

#include <string.h>

#include <algorithm>
#include <string>
#include <vector>

#include "boot/efi/checksums.h"
#include "boot/efi/command_line.h"
#include "boot/efi/folder.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_bytes.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using efi::LineResult;
using khocore::Span;

constexpr char kName[] = "archive.cpio";

/// The characters of all file paths, or false where `FolderOf` has to give up. A path that leads
/// out of the input is left to the firmware, which knows where it ends.
enum class Path : uint8_t { kGood, kBad, kEndless };

Path ReadPath(Span<const uint8_t> path, std::u16string* text) {
  size_t at = 0;
  for (size_t nodes = 0;; ++nodes) {
    if (path.size - at < 4) return Path::kEndless;
    const uint8_t* const node = path.data + at;
    const size_t length = node[2] | static_cast<size_t>(node[3]) << 8;
    if (node[0] == 0x7f) return Path::kGood;
    if (nodes == 64 || length < 4) return Path::kBad;
    if (length > path.size - at) return Path::kEndless;
    if (node[0] == 4 && node[1] == 4) {
      if (text->empty() || text->back() != u'\\') *text += u'\\';
      for (size_t i = 4; i + 2 <= length; i += 2) {
        const char16_t c = static_cast<char16_t>(node[i] | node[i + 1] << 8);
        if (c == 0) break;
        if (c == u'\\' && text->back() == u'\\') continue;
        if (text->size() + 2 >= efi::Folder::kMaxPath) return Path::kBad;
        *text += c;
      }
    }
    at += length;
  }
}

bool RunPath(Span<const uint8_t> input) {
  std::u16string want;
  const Path answer = ReadPath(input, &want);
  if (answer == Path::kEndless) return false;
  std::vector<CHAR16> folder(efi::Folder::kMaxPath, 0xeeee);
  size_t length = 0;
  const bool good =
      efi::FolderOf(reinterpret_cast<const EFI_DEVICE_PATH*>(input.data), folder.data(), &length);
  CASE_CHECK(good == (answer == Path::kGood));
  if (!good) return false;
  want.resize(want.rfind(u'\\') + 1);
  if (want.empty()) want = u"\\";
  CASE_CHECK(length == want.size() && length < efi::Folder::kMaxPath);
  CASE_CHECK(std::equal(want.begin(), want.end(), folder.begin(),
                        [](char16_t a, CHAR16 b) { return a == b; }));
  return true;
}

/// A line of these characters, none of which is its end, in `room` bytes.
LineResult LineOf(const std::u32string& characters, size_t room, std::string* line) {
  bool ascii = true;
  for (char32_t c : characters) {
    if (c == U'\t') c = U' ';
    ascii = ascii && c >= U' ' && c <= U'~';
    *line += static_cast<char>(c);
  }
  line->resize(line->find_last_not_of(' ') + 1);
  if (!ascii) return LineResult::kNotAscii;
  if (line->size() >= room) return LineResult::kTooLong;
  return line->empty() ? LineResult::kEmpty : LineResult::kGood;
}

void CheckLine(LineResult got, LineResult want, const std::vector<char>& line,
               const std::string& wanted) {
  CASE_CHECK(got == want);
  CASE_CHECK(memchr(line.data(), '\0', line.size()) != nullptr);
  if (want == LineResult::kGood) CASE_CHECK(wanted == line.data());
}

bool RunFile(Span<const uint8_t> file, size_t room) {
  std::vector<char> line(room, 'x');
  std::u32string characters;
  for (const uint8_t c : file) {
    if (c == '\n') break;
    if (c != '\r') characters += c;
  }
  std::string wanted;
  const LineResult want = LineOf(characters, room, &wanted);
  CheckLine(efi::ReadFirstLine(file, line.data(), room), want, line, wanted);
  return want == LineResult::kGood;
}

bool RunOptions(Span<const uint8_t> options, size_t room) {
  std::vector<char> line(room, 'x');
  std::u32string characters;
  for (size_t at = 0; at + 2 <= options.size; at += 2) {
    const char32_t c = options.data[at] | static_cast<char32_t>(options.data[at + 1]) << 8;
    if (c == 0) break;
    characters += c;
  }
  std::string wanted;
  LineResult want = LineOf(characters, room, &wanted);
  if (want == LineResult::kGood) {
    const size_t end = std::min(wanted.find(' '), wanted.size());
    std::string suffix = wanted.substr(end < 4 ? 0 : end - 4, end < 4 ? 0 : 4);
    for (char& c : suffix) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    if (suffix == ".efi") {
      wanted.erase(0, std::min(wanted.find_first_not_of(' ', end), wanted.size()));
    }
    if (wanted.empty()) want = LineResult::kEmpty;
  }
  CheckLine(efi::ReadLoadOptions(options.data, options.size, line.data(), room), want, line,
            wanted);
  return want == LineResult::kGood;
}

bool RunChecksums(Span<const uint8_t> list) {
  uint64_t checksum = 0;
  const efi::ChecksumResult result = efi::FindChecksum(list, kName, &checksum);
  efi::ChecksumResult want = efi::ChecksumResult::kNotListed;
  std::string rest(reinterpret_cast<const char*>(list.data), list.size);
  uint64_t wanted = 0;
  while (!rest.empty() && want == efi::ChecksumResult::kNotListed) {
    const std::string line = rest.substr(0, rest.find('\n'));
    rest.erase(0, line.size() + 1);
    const std::string digits = line.substr(0, 16);
    if (line.size() < 19 || line[16] != ' ' ||
        digits.find_first_not_of("0123456789abcdef") != std::string::npos) {
      want = efi::ChecksumResult::kMalformed;
    } else if (line.substr(18) == kName) {
      want = efi::ChecksumResult::kListed;
      wanted = std::stoul(digits, nullptr, 16);
    }
  }
  CASE_CHECK(result == want);
  if (want == efi::ChecksumResult::kListed) CASE_CHECK(checksum == wanted);
  return want == efi::ChecksumResult::kListed;
}

std::string PathNode(const std::u16string& text) {
  std::string node("\4\4\0\0", 4);
  for (const char16_t c : text) node += fuzz::BytesOf(c);
  node += fuzz::BytesOf(u'\0');
  fuzz::Put(&node, 2, static_cast<uint16_t>(node.size()));
  return node;
}

std::string Wide(const std::string& text) {
  std::string wide;
  for (const char c : text) wide += {c, '\0'};
  return wide;
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  fuzz::Input bytes(input);
  const unsigned reader = bytes.Take<uint8_t>() % 4;
  const size_t room = bytes.Take<uint8_t>() + 1;
  const std::vector<uint8_t> exact(bytes.rest().begin(), bytes.rest().end());
  const Span<const uint8_t> rest{exact.data(), exact.size()};
  switch (reader) {
    case 0:
      return RunPath(rest);
    case 1:
      return RunFile(rest, room);
    case 2:
      return RunOptions(rest, room);
    default:
      return RunChecksums(rest);
  }
}

std::map<std::string, std::string> fuzz::Seeds() {
  const std::string end("\x7f\xff\4\0", 4);
  const std::string disk("\4\1\x08\0abcd", 8);
  const std::string path = std::string("\0\0", 2) + disk;
  const std::string sum = "0123456789abcdef  ";
  return {
      {"path", path + PathNode(u"\\EFI\\BOOT\\BOOTX64.EFI") + end},
      {"path-in-parts", path + PathNode(u"EFI\\") + PathNode(u"\\BOOT") + PathNode(u"x") + end},
      {"path-long", path + PathNode(std::u16string(250, u'a')) + PathNode(u"bc") + end},
      {"file",
       "\1\x3f"
       "scenario=handover seed=1 \r\nmore"},
      {"options", "\2\x3f" + Wide("loader.EFI  scenario=x\tseed=2")},
      {"options-plain", "\2\x0f" + Wide("efi seed=2")},
      {"checksums", std::string("\3\0", 2) + sum + "kernel\n" + sum + kName + "\n"},
  };
}
