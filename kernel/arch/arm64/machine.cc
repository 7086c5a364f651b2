// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/machine.h"

#include <string.h>

#include "kernel/base/memory_nodes.h"

namespace arch {

using base::DeviceTree;
using base::Note;
using base::TreeNode;
using khocore::PhysRange;

constinit Machine this_machine;

namespace {

/// Collects consoles, aliases and stdout-path during a walk, whose nodes come in any order, to be
/// resolved afterwards.
class ConsoleFinder {
 public:
  void Visit(const TreeNode& node) {
    if (node.IsInRoot() && strcmp(node.name, "chosen") == 0) chosen_ = node.offset;
    if (node.IsInRoot() && strcmp(node.name, "aliases") == 0) aliases_ = node.offset;
    if (count_ == kMaxConsoles || !base::HasString(node.compatible, "arm,pl011")) return;
    Console& console = consoles_[count_];
    if (WritePath(node, console.path) && node.DeviceReg(0, &console.registers)) ++count_;
  }

  /// The registers of the console that stdout-path names. Empty when there is no such property;
  /// reports to `note` when it cannot be followed.
  PhysRange Find(const DeviceTree& tree, Note note) const {
    const char* path = base::FirstString(tree.Property(chosen_, "stdout-path"));
    if (path == nullptr) return {};
    // Behind a colon are the line's settings. What does not start with a slash is an alias.
    size_t length = Length(path);
    if (*path != '/') {
      path = base::FirstString(tree.Property(aliases_, path, length));
      length = path != nullptr ? Length(path) : 0;
    }
    for (size_t i = 0; i < count_; ++i) {
      const Console& console = consoles_[i];
      if (length != 0 && strlen(console.path) == length &&
          memcmp(console.path, path, length) == 0) {
        return console.registers;
      }
    }
    note("/chosen/stdout-path: no PL011; the console stays");
    return {};
  }

 private:
  static constexpr size_t kMaxConsoles = 8;
  static constexpr size_t kPathBytes = 96;
  struct Console {
    char path[kPathBytes];
    PhysRange registers;
  };

  static size_t Length(const char* path) {
    const char* const colon = strchr(path, ':');
    return colon != nullptr ? static_cast<size_t>(colon - path) : strlen(path);
  }

  /// From the end to the front, then moved to the front. False when it does not fit.
  static bool WritePath(const TreeNode& node, char* path) {
    size_t at = kPathBytes - 1;
    path[at] = '\0';
    for (const TreeNode* part = &node; part->parent != nullptr; part = part->parent) {
      const size_t length = strlen(part->name);
      if (length + 1 > at) return false;
      at -= length + 1;
      path[at] = '/';
      memcpy(path + at + 1, part->name, length);
    }
    memmove(path, path + at, kPathBytes - at);
    return true;
  }

  Console consoles_[kMaxConsoles];
  size_t count_ = 0;
  int chosen_ = -1;
  int aliases_ = -1;
};

void ReadGic(const TreeNode& node, Machine* machine, Note note) {
  const bool is_v3 = base::HasString(node.compatible, "arm,gic-v3");
  const bool is_v2 = base::HasString(node.compatible, "arm,cortex-a15-gic") ||
                     base::HasString(node.compatible, "arm,gic-400");
  if (!is_v3 && !is_v2) return;
  if (!node.DeviceReg(0, &machine->gic_distributor) ||
      !node.DeviceReg(1, is_v3 ? &machine->gic_redistributors : &machine->gic_cpu)) {
    note("interrupt controller: no usable reg; it is left as it is");
    return;
  }
  machine->gic = is_v3 ? Machine::Gic::kV3 : Machine::Gic::kV2;
}

/// Adds the registers of a device of which there may be several. `text` is the note when they
/// cannot be used.
template <size_t N>
void AddRegisters(const TreeNode& node, PhysRange (&list)[N], size_t* count, Note note,
                  const char* text) {
  PhysRange registers;
  if (*count == N || !node.DeviceReg(0, &registers)) return note(text);
  list[(*count)++] = registers;
}

/// The entry of `ranges` for 32-bit memory (PCI Bus Binding to IEEE 1275, 2.2.1.1), which is three
/// cells on the bus, two for the CPU and two of size.
PhysRange ReadPciMemory(base::PropertyValue ranges) {
  constexpr size_t kEntryBytes = 7 * sizeof(uint32_t);
  constexpr uint32_t kSpaceMask = 0x03000000, kMemory32 = 0x02000000;
  if (ranges.size % kEntryBytes != 0) return {};
  for (size_t at = 0; at < ranges.size; at += kEntryBytes) {
    uint64_t kind = 0, on_bus = 0, begin = 0, size = 0;
    (void)base::ReadNumber({ranges.data + at, 4}, &kind);
    (void)base::ReadNumber({ranges.data + at + 4, 8}, &on_bus);
    (void)base::ReadNumber({ranges.data + at + 12, 8}, &begin);
    (void)base::ReadNumber({ranges.data + at + 20, 8}, &size);
    const PhysRange memory{khocore::PhysAddr::FromRaw(begin), size};
    const bool fits = !memory.Wraps() && memory.end().raw() <= uint64_t{1} << 32;
    if ((kind & kSpaceMask) == kMemory32 && on_bus == begin && fits) return memory;
  }
  return {};
}

void ReadPci(const DeviceTree& tree, const TreeNode& node, Machine* machine, Note note) {
  if (!base::HasString(node.compatible, "pci-host-ecam-generic")) return;
  if (!node.DeviceReg(0, &machine->pci)) {
    note("PCI host: no usable reg; bus mastering is left as it is");
    return;
  }
  machine->pci_memory = ReadPciMemory(node.ranges);
  // Bus numbers are a byte each; the pair reads as first << 32 | last.
  uint64_t buses = 0;
  if (base::ReadNumber(tree.Property(node.offset, "bus-range"), &buses) && buses >> 32 < 256) {
    machine->pci_first_bus = static_cast<unsigned>(buses >> 32);
  }
}

void ReadPsci(const DeviceTree& tree, const TreeNode& node, Machine* machine, Note note) {
  if (!base::HasString(node.compatible, "arm,psci-0.2")) return;
  const char* const method = base::FirstString(tree.Property(node.offset, "method"));
  if (method != nullptr && strcmp(method, "hvc") == 0) {
    machine->psci = Machine::Psci::kHvc;
  } else if (method != nullptr && strcmp(method, "smc") == 0) {
    machine->psci = Machine::Psci::kSmc;
  } else {
    note("PSCI: its method is neither hvc nor smc; other CPUs are not started");
  }
}

void ReadCpu(const TreeNode& node, Machine* machine, Note note) {
  if (!node.IsIn("cpus") || !base::HasString(node.device_type, "cpu")) return;
  uint64_t id = 0;
  if (!base::ReadNumber(node.reg, &id)) {
    note("CPU: no usable reg; it is not used");
    return;
  }
  if (machine->cpu_count < Machine::kMaxCpus) machine->cpus[machine->cpu_count] = id;
  ++machine->cpu_count;
}

}  // namespace

Machine ReadMachine(const DeviceTree& tree, Note note) {
  Machine machine;
  ConsoleFinder consoles;
  bool nodes_fit = true;
  tree.Walk([&](const TreeNode& node) {
    consoles.Visit(node);
    nodes_fit = nodes_fit && base::AddMemoryNode(tree, node, &machine.nodes, note);
    if (node.compatible.data == nullptr || !node.IsEnabled()) return;
    if (machine.gic == Machine::Gic::kNone) ReadGic(node, &machine, note);
    if (machine.pci.size == 0) ReadPci(tree, node, &machine, note);
    if (base::HasString(node.compatible, "arm,gic-v3-its")) {
      AddRegisters(node, machine.its, &machine.its_count, note, "ITS: left as it is");
    }
    if (base::HasString(node.compatible, "virtio,mmio")) {
      AddRegisters(node, machine.virtio, &machine.virtio_count, note, "virtio-mmio: left as it is");
    }
    if (machine.smmu.size == 0 && base::HasString(node.compatible, "arm,smmu-v3") &&
        !node.DeviceReg(0, &machine.smmu)) {
      note("SMMUv3: left as it is");
    }
    if (machine.psci == Machine::Psci::kNone) ReadPsci(tree, node, &machine, note);
    ReadCpu(node, &machine, note);
  });
  if (!nodes_fit) machine.nodes = {};
  machine.console = consoles.Find(tree, note);
  return machine;
}

}  // namespace arch
