// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/machine.h"

#include <string.h>

namespace arch {

using boot::DeviceTree;
using boot::Note;
using khocore::PhysRange;

constinit Machine this_machine;

namespace {

void ReadConsole(const DeviceTree& tree, Machine* machine, Note note) {
  const int chosen = tree.Find("/chosen");
  const char* const path = chosen < 0 ? nullptr : tree.String(chosen, "stdout-path");
  if (path == nullptr) return;
  // A path or an alias, and behind a colon the line's settings.
  const char* const colon = strchr(path, ':');
  const int node =
      tree.Find(path, colon != nullptr ? static_cast<size_t>(colon - path) : strlen(path));
  if (node < 0 || !tree.IsCompatible(node, "arm,pl011") ||
      !tree.DeviceRange(node, 0, &machine->console)) {
    note("/chosen/stdout-path: no PL011 with an address; console stays");
  }
}

/// The first enabled node compatible with one of the names, or -1.
int FindDevice(const DeviceTree& tree, const char* name) {
  int node = tree.FindCompatible(-1, name);
  while (node >= 0 && !tree.IsEnabled(node)) node = tree.FindCompatible(node, name);
  return node;
}

void ReadGic(const DeviceTree& tree, Machine* machine, Note note) {
  if (const int node = FindDevice(tree, "arm,gic-v3"); node >= 0) {
    machine->gic = Machine::Gic::kV3;
    if (tree.DeviceRange(node, 0, &machine->gic_distributor)) return;
  }
  constexpr const char* kVersion2[] = {"arm,cortex-a15-gic", "arm,gic-400"};
  for (const char* const name : kVersion2) {
    const int node = FindDevice(tree, name);
    if (node < 0) continue;
    machine->gic = Machine::Gic::kV2;
    if (tree.DeviceRange(node, 0, &machine->gic_distributor) &&
        tree.DeviceRange(node, 1, &machine->gic_cpu)) {
      return;
    }
  }
  if (machine->gic == Machine::Gic::kNone) return;
  note("interrupt controller: no usable reg; it is left as it is");
  machine->gic = Machine::Gic::kNone;
}

void ReadPci(const DeviceTree& tree, Machine* machine, Note note) {
  const int node = FindDevice(tree, "pci-host-ecam-generic");
  if (node < 0) return;
  if (!tree.DeviceRange(node, 0, &machine->pci)) {
    note("PCI host: no usable reg; bus mastering is left as it is");
    return;
  }
  // Bus numbers are a byte each; the pair reads as first << 32 | last.
  uint64_t buses = 0;
  if (tree.Number(node, "bus-range", &buses) && buses >> 32 < 256) {
    machine->pci_first_bus = static_cast<unsigned>(buses >> 32);
  }
}

}  // namespace

Machine ReadMachine(const DeviceTree& tree, Note note) {
  Machine machine;
  ReadConsole(tree, &machine, note);
  ReadGic(tree, &machine, note);
  ReadPci(tree, &machine, note);
  return machine;
}

}  // namespace arch
