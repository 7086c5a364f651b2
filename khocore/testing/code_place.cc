// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/code_place.h"

#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <map>

namespace khocore {
namespace {

constexpr size_t kLongestName = 80;

/// Where the program was loaded.
uintptr_t LoadAddress() {
  uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* result) {
        *static_cast<uintptr_t*>(result) = info->dlpi_addr;
        return 1;
      },
      &address);
  return address;
}

}  // namespace

std::string CodePlace(const void* code) {
  static std::map<const void*, std::string> known;
  std::string& place = known[code];
  if (!place.empty()) return place;
  char command[128];
  snprintf(command, sizeof(command), "/usr/bin/addr2line -Cfspe /proc/%d/exe 0x%lx 2>/dev/null",
           static_cast<int>(getpid()), reinterpret_cast<uintptr_t>(code) - 1 - LoadAddress());
  if (FILE* pipe = popen(command, "r")) {
    char line[512];
    if (fgets(line, sizeof(line), pipe) != nullptr) place = line;
    pclose(pipe);
  }
  while (!place.empty() && place.back() == '\n') place.pop_back();
  for (const std::string prefix : {"khocore::", "(anonymous namespace)::"}) {
    if (place.rfind(prefix, 0) == 0) place = place.substr(prefix.size());
  }
  // The names of closures fill a screen.
  const size_t at = place.rfind(" at ");
  if (at != std::string::npos && at > kLongestName) place = place.substr(at + strlen(" at "));
  if (place.empty()) place = "an unknown place";
  return place;
}

}  // namespace khocore
