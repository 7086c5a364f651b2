// SPDX-License-Identifier: BSD-3-Clause
// Prints the layout of the control block, one "name number" a line, for the test that compares it
// with the host's.

#include <cstddef>
#include <cstdio>

#include "qemu/probe/control_block.h"

int main() {
  using probe::ControlBlock;
  const struct {
    const char* name;
    size_t value;
  } lines[] = {
      {"header", offsetof(ControlBlock, magic)},
      {"state", offsetof(ControlBlock, state)},
      {"regions", offsetof(ControlBlock, regions)},
      {"fetch_armed", offsetof(ControlBlock, fetch_armed)},
      {"fetch", offsetof(ControlBlock, fetch)},
      {"address_armed", offsetof(ControlBlock, address_armed)},
      {"addresses", offsetof(ControlBlock, addresses)},
      {"watch_armed", offsetof(ControlBlock, watch_armed)},
      {"pages", offsetof(ControlBlock, pages)},
      {"stores", offsetof(ControlBlock, stores)},
      {"instructions", offsetof(ControlBlock, instructions)},
      {"watched_from", offsetof(ControlBlock, watched_from)},
      {"fetches_outside", offsetof(ControlBlock, fetches_outside)},
      {"stores_outside", offsetof(ControlBlock, stores_outside)},
      {"ring", offsetof(ControlBlock, ring)},
      {"shadow", offsetof(ControlBlock, shadow)},
      {"end", sizeof(ControlBlock)},
      {"Region", sizeof(probe::Region)},
      {"Range", sizeof(probe::Range)},
      {"Access", sizeof(probe::Access)},
      {"Absence", offsetof(probe::Absence, ranges)},
      {"Absence.first", offsetof(probe::Absence, first)},
      {"Store", sizeof(probe::Store)},
      {"Store.after", offsetof(probe::Store, after)},
      {"StopRecord", sizeof(probe::StopRecord)},
      {"magic", probe::kMagic},
  };
  for (const auto& line : lines) std::printf("%s %zu\n", line.name, line.value);
  return 0;
}
