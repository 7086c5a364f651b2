// SPDX-License-Identifier: BSD-3-Clause
//
// What the device tree says of the machine: every device has registers that some node has.

#include <string.h>

#include <string>
#include <vector>

#include "kernel/arch/arm64/machine.h"
#include "kernel/base/testing/fuzz_tree.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using arch::Machine;
using base::TreeNode;
using khocore::PhysRange;

}  // namespace

bool fuzz::RunCase(khocore::Span<const uint8_t> input) {
  const base::FuzzTree source(input);
  const auto tree = source.Open();
  if (!tree.ok()) return false;
  size_t notes = 0;
  const auto note = [&](const char* text) { notes += *text != '\0'; };
  const Machine machine = arch::ReadMachine(tree.value(), note);

  std::vector<PhysRange> registers;
  std::vector<PhysRange> consoles;
  std::vector<uint64_t> cpus;
  Machine::Psci psci = Machine::Psci::kNone;
  tree.value().Walk([&](const TreeNode& node) {
    PhysRange range;
    for (size_t i = 0; node.DeviceReg(i, &range); ++i) {
      registers.push_back(range);
      if (base::HasString(node.compatible, "arm,pl011")) consoles.push_back(range);
    }
    uint64_t id = 0;
    const bool compatible = node.compatible.data != nullptr && node.IsEnabled();
    if (compatible && base::HasString(node.compatible, "arm,psci-0.2") &&
        psci == Machine::Psci::kNone) {
      const char* const text = base::FirstString(tree.value().Property(node.offset, "method"));
      const std::string method = text != nullptr ? text : "";
      if (method == "smc") psci = Machine::Psci::kSmc;
      if (method == "hvc") psci = Machine::Psci::kHvc;
    }
    if (compatible && node.IsIn("cpus") && base::HasString(node.device_type, "cpu") &&
        base::ReadNumber(node.reg, &id)) {
      cpus.push_back(id);
    }
  });
  const auto has = [](const std::vector<PhysRange>& ranges, PhysRange wanted) {
    for (const PhysRange& range : ranges) {
      if (range == wanted) return true;
    }
    return false;
  };
  CASE_CHECK(machine.console == PhysRange() || has(consoles, machine.console));
  CASE_CHECK(machine.pci == PhysRange() || has(registers, machine.pci));
  CASE_CHECK(machine.smmu == PhysRange() || has(registers, machine.smmu));
  CASE_CHECK(machine.pci_first_bus < 256);
  CASE_CHECK(machine.pci_memory.end().raw() <= uint64_t{1} << 32);
  CASE_CHECK(machine.psci == psci);
  CASE_CHECK(machine.cpu_count == cpus.size());
  for (size_t i = 0; i < cpus.size() && i < Machine::kMaxCpus; ++i) {
    CASE_CHECK(machine.cpus[i] == cpus[i]);
  }
  if (machine.gic != Machine::Gic::kNone) {
    CASE_CHECK(has(registers, machine.gic_distributor));
    CASE_CHECK(has(registers, machine.gic == Machine::Gic::kV2 ? machine.gic_cpu
                                                               : machine.gic_redistributors));
  }
  return true;
}

std::map<std::string, std::string> fuzz::Seeds() { return base::MachineTrees(); }
