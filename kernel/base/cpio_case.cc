// SPDX-License-Identifier: BSD-3-Clause
//
// The cpio reader, compared with one that goes from file to file in signed arithmetic.

#include <stdio.h>
#include <string.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "kernel/base/cpio.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using khocore::Span;

/// -1 for what is no hexadecimal number.
__int128 Hex(std::string_view digits) {
  uint64_t value = 0;
  const auto result = std::from_chars(digits.begin(), digits.end(), value, 16);
  return result.ptr == digits.end() ? static_cast<__int128>(value) : -1;
}

__int128 RoundUp(__int128 at) { return (at + 3) / 4 * 4; }

/// The first file called `name`, when all headers up to it are good.
std::optional<std::string_view> Find(std::string_view archive, std::string_view name) {
  constexpr size_t kHeader = 110;
  const auto end = static_cast<__int128>(archive.size());
  for (__int128 at = 0; at + 110 <= end;) {
    const std::string_view header = archive.substr(static_cast<size_t>(at));
    const __int128 size = Hex(header.substr(54, 8));
    const __int128 name_size = Hex(header.substr(94, 8));
    if (!header.starts_with("070701") || size < 0 || name_size <= 0) return {};
    const __int128 data = RoundUp(at + 110 + name_size);
    if (data + size > end) return {};
    const std::string_view field = header.substr(kHeader, static_cast<size_t>(name_size));
    if (field.back() != '\0') return {};
    const std::string_view found = field.substr(0, field.find('\0'));
    if (found == "TRAILER!!!") return {};
    if (found == name) return archive.substr(static_cast<size_t>(data), static_cast<size_t>(size));
    at = RoundUp(data + size);
  }
  return {};
}

std::string Entry(const char* name, const std::string& data, const char* padding = "\0\0\0") {
  char header[111];
  snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
           1, 0100644, 0, 0, 1, 0, data.size(), 0, 0, 0, 0, strlen(name) + 1, 0);
  std::string entry = std::string(header) + name + '\0';
  entry.append(padding, (4 - entry.size() % 4) % 4);
  return entry + data + std::string((4 - data.size() % 4) % 4, '\0');
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  const std::string_view archive(reinterpret_cast<const char*>(input.data), input.size);
  bool any = false;
  for (const char* name : {"kernel", "initrd", "cmdline", ""}) {
    Span<const uint8_t> file{};
    const base::CpioResult result = base::FindInCpio(input, name, &file);
    const auto want = Find(archive, name);
    CASE_CHECK((result == base::CpioResult::kFound) == want.has_value());
    CASE_CHECK(*base::CpioResultName(result) != '\0');
    if (!want) continue;
    any = true;
    CASE_CHECK(reinterpret_cast<const char*>(file.data) == want->data());
    CASE_CHECK(file.size == want->size());
  }
  return any;
}

std::map<std::string, std::string> fuzz::Seeds() {
  const std::string end = Entry("TRAILER!!!", "");
  return {
      {"empty-name", Entry("", "x") + end},
      {"one", Entry("kernel", "12345") + end},
      {"three", Entry("kernel", "1234") + Entry("initrd", "") + Entry("cmdline", "a=b\n") + end},
      {"other", Entry(".", "") + Entry("a", "123") + Entry("cmdline", "x") + end},
  };
}
